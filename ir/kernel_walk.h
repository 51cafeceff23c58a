/* What the files of ir/ and the backends share about walking a kernel. */
#ifndef RETC_IR_KERNEL_WALK_H
#define RETC_IR_KERNEL_WALK_H

#include "ir/kernel.h"

/* Calls `visit` for every expression that the statement holds directly (not those of its blocks). */
void retc_statement_visit_exprs(const retc_kernel *kernel, const retc_statement *statement,
                                void (*visit)(void *user, retc_expr expr), void *user);

/* Bytes of a shared or private buffer, rounded up to 64; -1 when its shape is not constant or the size is absurd. */
int64_t retc_buffer_private_bytes(const retc_buffer *buffer);

/* The dtype that a load of the buffer gives and a store to it takes. */
retc_dtype retc_buffer_value_dtype(const retc_buffer *buffer);

/* The statement's own line, without its blocks and comment: "for i in 0..6 unroll". */
void retc_statement_print_head(const retc_kernel *kernel, const retc_statement *statement, retc_text *out_text);

/* The statements of the block and of all blocks within. Statements are numbered in this order, that of the text. */
uint32_t retc_block_count(const retc_block *block);

/* Appends a zeroed statement of this kind to the innermost open block; it takes the waiting comment. */
retc_statement *retc_writer_add(retc_writer *w, retc_statement_kind kind);
/* Opens one of the statement's blocks. */
void retc_writer_open(retc_writer *w, retc_block *block);
/* A word of the text form: no variable or buffer may be called so. */
bool retc_kernel_word_is_reserved(const char *name);
/* Adds an expression as it is, without folding. */
retc_expr retc_kernel_add_expr(retc_kernel *kernel, retc_expr_node node);

#endif
