/* The files that a program's arrays come from: tensors under the names that its inputs have. */
#ifndef RETC_MAIN_PROGRAM_ARRAYS_H
#define RETC_MAIN_PROGRAM_ARRAYS_H

#include "compiler/evaluate.h"

/* A safetensors file, or the checkpoint of a model directory. */
retc_status retc_program_arrays_open(const char *path, retc_diagnostics *diagnostics, retc_checkpoint **out_file);
/* Adds the tensors of a second one, where `path` is not NULL; names that `file` has are its own. */
retc_status retc_program_arrays_add(retc_checkpoint *file, const char *path, retc_diagnostics *diagnostics);
/* Tensors that no entry names: RETC_INVALID when one seems to be a misspelt input, which the file has not; otherwise a
 * line for people that they are not used is added to the text. */
retc_status retc_program_arrays_check(const retc_checkpoint *file, const retc_compilation *compilation,
                                      retc_diagnostics *diagnostics, retc_text *out_remark);

/* NULL: the file has none. `input_ids`, as files of tokens call them, are `tokens`. */
const retc_stored_tensor *retc_program_arrays_find(const retc_checkpoint *file, const char *name);
/* Whether an entry's inputs are there, but for states, and of a type that they can be read from. `weights` names the
 * second file in messages; NULL: there is none. */
retc_status retc_program_arrays_require(const retc_checkpoint *file, const retc_entry_inputs *inputs,
                                        const char *weights, retc_diagnostics *diagnostics);
/* No axis of an input may be empty. */
retc_status retc_program_arrays_check_sizes(const retc_entry_inputs *inputs, const retc_dims *dims,
                                            retc_diagnostics *diagnostics);
/* The arrays of an entry's inputs that the file has, weights only where they are wanted, and its scalars. */
retc_status retc_program_arrays_take(const retc_checkpoint *file, const retc_entry_inputs *inputs, bool weights,
                                     retc_diagnostics *diagnostics, retc_arrays *arrays);

#endif
