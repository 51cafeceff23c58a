/* The emitter: one kernel at a time into an LLVM module. */
#ifndef RETC_BACKENDS_LLVM_PRIVATE_H
#define RETC_BACKENDS_LLVM_PRIVATE_H

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/TargetMachine.h>

#include "backends/llvm/llvm_backend.h"

/* What code is made for. Strings are LLVM's and owned. */
typedef struct retc_llvm_target {
  char *triple, *cpu, *features;
  retc_target_profile profile;
} retc_llvm_target;

struct retc_llvm_module {
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMTargetMachineRef machine;
  retc_llvm_target target;
  LLVMMemoryBufferRef object; /* made when first asked for */
  size_t kernel_count;
  char **kernel_names;
  retc_text complaints; /* what LLVM said through its diagnostic handler */
};

/* Adds the object file to `module` if it is not there yet. Lent. */
retc_status retc_llvm_module_object(retc_llvm_module *module, retc_diagnostics *diagnostics,
                                    LLVMMemoryBufferRef *out_object);

/* llvm_jit.c: object files linked into this process; `names` are the functions that `find` is to know. Copies all. */
typedef struct retc_llvm_object {
  const char *data;
  size_t size;
} retc_llvm_object;
retc_status retc_llvm_link(const retc_llvm_object *objects, size_t object_count, const char *const *names,
                           size_t name_count, retc_diagnostics *diagnostics, retc_executable **out_executable);

/* A value as the lanes of a vector loop see it; outside of one everything is uniform.
 *   uniform  scalar                 the same in all lanes
 *   affine   scalar, step           i64: lane l has scalar + l step
 *   vector   vector                 one element a lane */
typedef struct retc_llvm_value {
  LLVMValueRef scalar, step, vector;
} retc_llvm_value;

typedef struct retc_llvm_emitter {
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMBuilderRef builder;
  retc_target_profile profile;
  const retc_kernel *kernel;
  LLVMValueRef function;
  LLVMValueRef dims[RETC_DIM_COUNT];
  LLVMValueRef thread, threads;
  LLVMValueRef *buffers;       /* address of each buffer */
  retc_llvm_value *variables;  /* of each variable in scope */
  retc_llvm_value *values;     /* of each expression, if seen by this statement */
  uint32_t *seen;              /* the statement for which `values` holds */
  uint32_t number;             /* of the statement being emitted */
  unsigned lanes;              /* of the vector loop around; 1: none */
  LLVMDIBuilderRef debug;      /* NULL: instructions do not say where they come from */
  LLVMMetadataRef unit, scope; /* of the module, of the function */
  uint32_t line;               /* of the statement being emitted: its number in the kernel's text, from 1 */
  LLVMValueRef tile_shape;     /* address of the shape that tiles are configured for; NULL: the kernel has none */
  LLVMValueRef unpacked;       /* address of room for u4x2 as bytes; NULL: no tile needs it */
  bool lacks_tiles;            /* the kernel multiplies by tiles, and the CPU has none */
  const char *refused;         /* what this backend cannot express, or NULL */
} retc_llvm_emitter;

/* llvm_emit.c: the kernel as a function of e->module. RETC_INTERNAL when it holds what this backend cannot express. */
retc_status retc_llvm_emit_kernel(retc_llvm_emitter *e, const retc_kernel *kernel, const retc_llvm_target *target,
                                  retc_diagnostics *diagnostics);

/* for index in low..high by step: the builder stands in the body between begin and end, and behind the loop after.
 * `before` enters the body or, when there is nothing to do, goes to `after`; the blocks are for further phi nodes. */
typedef struct retc_llvm_loop {
  LLVMBasicBlockRef before, body, latch, after;
  LLVMValueRef index, high;
} retc_llvm_loop;
retc_llvm_loop retc_llvm_loop_begin(retc_llvm_emitter *e, LLVMValueRef low, LLVMValueRef high, const char *name);
void retc_llvm_loop_end(retc_llvm_emitter *e, retc_llvm_loop *loop, LLVMValueRef step);

/* llvm_expr.c. `lanes` 1 means a scalar, here and below. */
LLVMTypeRef retc_llvm_type(retc_llvm_emitter *e, retc_dtype dtype, unsigned lanes);
bool retc_llvm_is_constant(LLVMValueRef value, int64_t *out_value);
LLVMValueRef retc_llvm_integer(retc_llvm_emitter *e, int64_t value);
retc_llvm_value retc_llvm_emit_expr(retc_llvm_emitter *e, retc_expr expr);
/* One that is known to be uniform. */
LLVMValueRef retc_llvm_emit_scalar(retc_llvm_emitter *e, retc_expr expr);
/* In all lanes of the loop around. */
LLVMValueRef retc_llvm_spread(retc_llvm_emitter *e, retc_llvm_value value);
LLVMValueRef retc_llvm_splat(retc_llvm_emitter *e, LLVMValueRef scalar, unsigned lanes);
/* An intrinsic that is not overloaded. */
LLVMValueRef retc_llvm_call_plain(retc_llvm_emitter *e, const char *intrinsic, LLVMValueRef *arguments, unsigned count);
/* An intrinsic that is overloaded on the type of its first argument. */
LLVMValueRef retc_llvm_call(retc_llvm_emitter *e, const char *intrinsic, LLVMValueRef *arguments, unsigned count);

/* Row-major element number of an access, and the elements from one index of an axis to the next. */
retc_llvm_value retc_llvm_element(retc_llvm_emitter *e, retc_buffer_id buffer, const retc_expr *indices);
LLVMValueRef retc_llvm_stride(retc_llvm_emitter *e, retc_buffer_id buffer, int axis);
LLVMValueRef retc_llvm_address(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element);
/* `lanes` elements from `element` on, `step` apart (i64; NULL: 1), widened to the buffer's value type. */
LLVMValueRef retc_llvm_load_elements(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element,
                                     LLVMValueRef step, unsigned lanes);
void retc_llvm_store_elements(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, LLVMValueRef step,
                              LLVMValueRef value, unsigned lanes);
/* The same of accumulators, f32 or i32, which are not widened. */
LLVMValueRef retc_llvm_load_sums(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, LLVMValueRef step,
                                 unsigned lanes);
void retc_llvm_store_sums(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, LLVMValueRef step,
                          LLVMValueRef value, unsigned lanes);
void retc_llvm_emit_store(retc_llvm_emitter *e, const retc_statement *store);

/* llvm_locations.c: where instructions come from. Each says the number of the kernel statement that it is made for, as
 * a line of debug information. Code generation does not depend on it. */
void retc_llvm_locations_init(retc_llvm_emitter *e);
/* In a new function. */
void retc_llvm_locations_begin(retc_llvm_emitter *e);
/* Of the instructions built from here on; nothing when e->debug is NULL. */
void retc_llvm_locate(retc_llvm_emitter *e);
void retc_llvm_locations_finish(retc_llvm_emitter *e);

/* llvm_backend.c: what options->cpu asks for. */
typedef struct retc_llvm_cpu {
  char name[64]; /* "host" for this one */
  bool is_host, no_tiles;
} retc_llvm_cpu;
retc_status retc_llvm_read_cpu(const retc_llvm_options *options, retc_diagnostics *diagnostics, retc_llvm_cpu *out_cpu);
/* LLVM's words for the CPU of this machine; they stay. */
void retc_llvm_host(const char **out_cpu, const char **out_features);

/* llvm_tiles.c: an mma by tiles. What can be: the form TILES, and integers whose sums are the same either way. */
bool retc_llvm_has_tiles(const retc_llvm_emitter *e, const retc_statement *mma);
void retc_llvm_emit_tiles(retc_llvm_emitter *e, const retc_statement *mma);
/* Before the function returns: gives the tiles back. */
void retc_llvm_release_tiles(retc_llvm_emitter *e);

/* llvm_mma.c */
/* A matrix in memory: element (r, c) is number first + r row + c column. */
typedef struct retc_llvm_matrix {
  retc_buffer_id buffer;
  LLVMValueRef first, row, column;
} retc_llvm_matrix;
retc_llvm_matrix retc_llvm_open_view(retc_llvm_emitter *e, const retc_view *view);
LLVMValueRef retc_llvm_matrix_element(retc_llvm_emitter *e, const retc_llvm_matrix *m, LLVMValueRef row,
                                      LLVMValueRef column);
/* `lanes` words of 32 bits from `element` on: what is packed along the depth, a column a lane. */
LLVMValueRef retc_llvm_load_words(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, unsigned lanes);
/* Of words of u4x2: the four numbers in the lower or upper halves of bytes, a byte each. */
LLVMValueRef retc_llvm_halves(retc_llvm_emitter *e, LLVMValueRef words, bool upper, unsigned lanes);
/* Asks for an element of b before it is needed: for a stream from memory, or for what is read again soon. */
enum { RETC_PREFETCH_BYTES = 4096 };
void retc_llvm_prefetch(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, bool far);
void retc_llvm_emit_mma(retc_llvm_emitter *e, const retc_statement *mma);
/* An unrolled loop of `count` iterations from `from` on whose body is one mma: all of them as one loop along the depth,
 * when they are independent and their sums fit into the registers. False: nothing was emitted. */
bool retc_llvm_emit_mma_together(retc_llvm_emitter *e, const retc_statement *loop, int64_t from, int64_t count);

#endif
