#include "compiler/main/program_arrays.h"

#include <string.h>

retc_status retc_program_arrays_open(const char *path, retc_diagnostics *diagnostics, retc_checkpoint **out_file) {
  if (retc_path_is_directory(path)) return retc_checkpoint_open_directory(path, diagnostics, out_file);
  return retc_checkpoint_open_file(path, diagnostics, out_file);
}

retc_status retc_program_arrays_add(retc_checkpoint *file, const char *path, retc_diagnostics *diagnostics) {
  retc_checkpoint *other;
  if (!path) return RETC_OK;
  RETC_TRY(retc_program_arrays_open(path, diagnostics, &other));
  return retc_checkpoint_merge(file, other, diagnostics);
}

/* ---- names that no entry has ---- */

typedef struct known_names {
  retc_arena arena;
  RETC_VEC(const char *) list;
} known_names;

static void add_name(known_names *known, const char *name) { RETC_VEC_PUSH(&known->arena, known->list, name); }

static void list_names(known_names *known, const retc_compilation *compilation) {
  for (size_t entry = 0; entry < retc_entry_count(compilation); entry++) {
    const retc_entry_inputs inputs = retc_entry_get_inputs(compilation, entry, &known->arena);
    for (size_t i = 0; i < inputs.list.count; i++) {
      add_name(known, inputs.list.items[i].name);
      if (!strcmp(inputs.list.items[i].name, "tokens")) add_name(known, "input_ids");
    }
  }
  for (int i = 0; i < RETC_DIM_COUNT; i++) add_name(known, retc_dim_text((retc_dim_name)i));
}

static bool is_known(const known_names *known, const char *name) {
  for (size_t i = 0; i < known->list.count; i++) {
    if (!strcmp(known->list.items[i], name)) return true;
  }
  return false;
}

retc_status retc_program_arrays_check(const retc_checkpoint *file, const retc_compilation *compilation,
                                      retc_diagnostics *diagnostics, retc_text *out_remark) {
  known_names known = {.list = {0}};
  const char *first = NULL;
  size_t others = 0;
  retc_arena_init(&known.arena);
  list_names(&known, compilation);
  retc_status status = RETC_OK;
  for (size_t i = 0; i < retc_checkpoint_count(file) && status == RETC_OK; i++) {
    const char *name = retc_checkpoint_at(file, i)->name;
    if (is_known(&known, name)) continue;
    const char *nearest = retc_nearest(name, known.list.items, known.list.count);
    retc_dim_name dim;
    if (nearest && !retc_dim_parse(nearest, strlen(nearest), &dim) && !retc_program_arrays_find(file, nearest)) {
      status = retc_fail(diagnostics, RETC_INVALID, "%s: tensor '%s' is no input of the program, did you mean '%s'?",
                         retc_checkpoint_path(file), name, nearest);
    }
    if (!first) first = name;
    else others++;
  }
  if (status == RETC_OK && first) {
    retc_text_printf(out_remark, "retc: %s: tensor '%s'", retc_checkpoint_path(file), first);
    if (others) retc_text_printf(out_remark, " and %zu others are no inputs of the program, and not used\n", others);
    else retc_text_add(out_remark, " is no input of the program, and not used\n");
  }
  retc_arena_deinit(&known.arena);
  return status;
}

/* ---- what is made of a file's matrices ---- */

/* Columns of a group of the integers that input `name` stands for; 0: it stands for none, or they have no scales. */
static int64_t find_quantized(const retc_checkpoint *file, const retc_entry_inputs *inputs, const char *name,
                              retc_quantized *out_made) {
  if (!retc_quantized_find(file, name, out_made)) return 0;
  const char *stored = out_made->tensor->name;
  for (size_t i = 0; i < inputs->list.count; i++) {
    const retc_entry_input *input = &inputs->list.items[i];
    retc_quantized other;
    const bool is_scale = retc_quantized_find(file, input->name, &other) && other.is_scale;
    if (!is_scale || other.bits != out_made->bits || strcmp(other.tensor->name, stored)) continue;
    if (input->type.shape.rank == 2) return retc_quantized_group(out_made->tensor->dim[1], input->type.shape.dim[1]);
  }
  return 0;
}

/* ---- what an entry needs ---- */

static bool is_input(const retc_entry_inputs *inputs, const char *name) {
  for (size_t i = 0; i < inputs->list.count; i++) {
    if (!strcmp(inputs->list.items[i].name, name)) return true;
  }
  return false;
}

/* What is nearest among the tensors that no other input takes may be meant. */
static retc_status missing(const retc_checkpoint *file, const retc_entry_inputs *inputs, const retc_entry_input *input,
                           const char *weights, retc_diagnostics *diagnostics) {
  retc_arena arena;
  retc_arena_init(&arena);
  size_t count = 0;
  const char **names = RETC_NEW_ARRAY(&arena, const char *, retc_checkpoint_count(file) + 1);
  for (size_t i = 0; i < retc_checkpoint_count(file); i++) {
    const char *name = retc_checkpoint_at(file, i)->name;
    if (!is_input(inputs, name)) names[count++] = name;
  }
  const char *nearest = retc_nearest(input->name, names, count);
  retc_status status =
      retc_fail(diagnostics, RETC_INVALID, "%s%s%s: %s '%s' is not there%s%s%s", retc_checkpoint_path(file),
                weights ? " and " : "", weights ? weights : "", input->kind, input->name,
                nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
  retc_arena_deinit(&arena);
  return status;
}

retc_status retc_program_arrays_require(const retc_checkpoint *file, const retc_entry_inputs *inputs,
                                        const char *weights, retc_diagnostics *diagnostics) {
  for (size_t i = 0; i < inputs->list.count; i++) {
    const retc_entry_input *input = &inputs->list.items[i];
    const retc_stored_tensor *stored = retc_program_arrays_find(file, input->name);
    if (stored) {
      RETC_TRY(retc_entry_check_dtype(inputs, input, stored->dtype, diagnostics));
      continue;
    }
    retc_quantized made;
    if (strcmp(input->kind, "state") && !find_quantized(file, inputs, input->name, &made)) {
      return missing(file, inputs, input, weights, diagnostics);
    }
  }
  return RETC_OK;
}

retc_status retc_program_arrays_check_sizes(const retc_entry_inputs *inputs, const retc_dims *dims,
                                            retc_diagnostics *diagnostics) {
  for (size_t i = 0; i < inputs->list.count; i++) {
    const retc_shape *shape = &inputs->list.items[i].type.shape;
    for (int axis = 0; axis < shape->rank; axis++) {
      if (!retc_dim_is_named(shape->dim[axis]) || retc_dim_value(shape->dim[axis], dims)) continue;
      return retc_fail(diagnostics, RETC_INVALID, "%s: %s: axis %d, %s, is 0, expected at least 1", inputs->file,
                       inputs->list.items[i].name, axis, retc_dim_text((retc_dim_name)~shape->dim[axis]));
    }
  }
  return RETC_OK;
}

/* ---- taking ---- */

const retc_stored_tensor *retc_program_arrays_find(const retc_checkpoint *file, const char *name) {
  const retc_stored_tensor *stored = retc_checkpoint_find(file, name);
  return stored || strcmp(name, "tokens") ? stored : retc_checkpoint_find(file, "input_ids");
}

static retc_status take(const retc_checkpoint *file, const char *name, retc_diagnostics *diagnostics,
                        retc_arrays *arrays) {
  const retc_stored_tensor *stored = retc_program_arrays_find(file, name);
  if (!stored || retc_arrays_find(arrays, name)) return RETC_OK;
  return retc_arrays_add_stored(arrays, name, stored, diagnostics);
}

static retc_status take_quantized(const retc_checkpoint *file, const retc_entry_inputs *inputs,
                                  const retc_entry_input *input, retc_diagnostics *diagnostics, retc_arrays *arrays) {
  retc_quantized made;
  retc_tensor tensor;
  const int64_t group = find_quantized(file, inputs, input->name, &made);
  if (!group || retc_program_arrays_find(file, input->name) || retc_arrays_find(arrays, input->name)) return RETC_OK;
  RETC_TRY(retc_tensor_init_quantized(&tensor, &made, group, diagnostics));
  retc_arrays_add(arrays, input->name, input->type.dtype, tensor);
  return RETC_OK;
}

retc_status retc_program_arrays_take(const retc_checkpoint *file, const retc_entry_inputs *inputs, bool weights,
                                     retc_diagnostics *diagnostics, retc_arrays *arrays) {
  for (size_t i = 0; i < inputs->list.count; i++) {
    const retc_entry_input *input = &inputs->list.items[i];
    if (!weights && !strcmp(input->kind, "weight")) continue;
    RETC_TRY(take(file, input->name, diagnostics, arrays));
    RETC_TRY(take_quantized(file, inputs, input, diagnostics, arrays));
  }
  for (int i = 0; i < RETC_DIM_COUNT; i++) {
    RETC_TRY(take(file, retc_dim_text((retc_dim_name)i), diagnostics, arrays));
  }
  return RETC_OK;
}
