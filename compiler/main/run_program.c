#include "compiler/main/run_program.h"

#include <stdio.h>
#include <string.h>

#include "backends/llvm/llvm_backend.h"
#include "compiler/driver/callable.h"
#include "compiler/driver/gpu_engine.h"
#include "compiler/evaluate.h"
#include "compiler/main/program_arrays.h"
#include "compiler/main/program_profile.h"
#include "compiler/main/reproducer.h"

typedef struct call {
  const retc_source *source;
  const retc_run_program_options *options;
  retc_diagnostics *diagnostics;
  retc_gpu *gpu; /* NULL: here */
  retc_compile_options compile;
  retc_compilation *compilation;
  size_t entry;
  retc_checkpoint *file; /* all arrays, weights too */
  retc_arrays arrays;    /* those that are no weights */
  retc_text remark;      /* for when all went well */
  retc_dims dims;
} call;

/* The program before its passes: what it asks for must not depend on what they leave of it. */
static retc_status open_program(call *c) {
  const retc_llvm_options llvm = {.cpu = c->options->cpu};
  c->compile = (retc_compile_options){
      .chunk_length = c->options->chunk_length, .cpu = c->options->cpu, .stop_after = "import",
      .failed = retc_reproducer_write};
  if (c->options->gpu) {
    RETC_TRY(retc_gpu_open(c->diagnostics, &c->gpu));
    RETC_TRY(retc_gpu_profile(c->gpu, c->options->archs, c->diagnostics, &c->compile.profile));
    c->compile.profile.math = c->options->math;
  } else {
    RETC_TRY(retc_llvm_profile(&llvm, c->diagnostics, &c->compile.profile));
  }
  RETC_TRY(retc_source_compile(c->source, &c->compile, c->diagnostics, &c->compilation));
  c->compile.stop_after = NULL;
  return retc_entry_find(c->compilation, c->options->entry, c->diagnostics, &c->entry);
}

static retc_status open_arrays(call *c) {
  const char *model = c->source->checkpoint ? c->source->path : NULL;
  RETC_TRY(retc_program_arrays_open(c->options->inputs, c->diagnostics, &c->file));
  RETC_TRY(retc_program_arrays_check(c->file, c->compilation, c->diagnostics, &c->remark));
  return retc_program_arrays_add(c->file, c->options->weights ? c->options->weights : model, c->diagnostics);
}

static retc_status bind_arrays(call *c, const retc_entry_inputs *inputs) {
  RETC_TRY(retc_program_arrays_require(c->file, inputs, c->options->weights, c->diagnostics));
  RETC_TRY(retc_program_arrays_take(c->file, inputs, false, c->diagnostics, &c->arrays));
  RETC_TRY(retc_bind_dims(c->compilation, inputs, &c->arrays, c->diagnostics, &c->dims));
  return retc_program_arrays_check_sizes(inputs, &c->dims, c->diagnostics);
}

/* Other entries want weights of their own, which the files need not have. */
static void keep_entry(call *c) {
  retc_compilation *compilation = c->compilation;
  if (retc_compilation_is_lowered(compilation)) return;
  for (size_t i = 0; i < compilation->graphs.count; i++) {
    if (i != c->entry) retc_graph_destroy(compilation->graphs.items[i]);
  }
  compilation->graphs.items[0] = compilation->graphs.items[c->entry];
  compilation->graphs.count = 1;
  c->entry = 0;
}

static retc_status compile(call *c) {
  keep_entry(c);
  RETC_TRY(retc_compile_rest(c->compilation, &c->compile, c->diagnostics));
  if (c->compilation->plan) return RETC_OK;
  const size_t memory = retc_pass_find("memory");
  RETC_TRY(retc_entry_plan_kernel(c->compilation, c->entry, c->diagnostics));
  c->entry = 0;
  return retc_passes_run(c->compilation, &memory, 1, &c->compile, c->diagnostics);
}

/* Dimensions that no input has may be those of constants. */
static retc_status check_dims(const call *c) {
  const retc_plan *plan = c->compilation->plan;
  const retc_plan_entry *entry = &plan->entries.items[c->entry];
  for (size_t s = 0; s < entry->steps.count; s++) {
    const retc_plan_kernel *kernel = &plan->kernels.items[entry->steps.items[s].kernel];
    for (int i = 0; i < kernel->dim_count; i++) {
      const retc_dim_name dim = kernel->dims[i];
      if (!retc_dim_is_axis(dim) || c->dims.value[dim]) continue;
      return retc_fail(c->diagnostics, RETC_INVALID, "%s: the program uses %s, which no array tells; a scalar of that "
                                                     "name may", retc_checkpoint_path(c->file), retc_dim_text(dim));
    }
  }
  return RETC_OK;
}

/* As the file has it where compiled code can read it so; bools are made 0 or 1. */
static retc_status make_input(const call *c, const retc_entry_input *input, retc_arena *arena,
                              retc_run_input *out_input) {
  const retc_stored_tensor *stored = retc_program_arrays_find(c->file, input->name);
  const retc_dtype dtype = input->type.dtype;
  *out_input =
      (retc_run_input){.name = input->name, .dtype = dtype, .shape = {.rank = stored->rank}, .data = stored->data};
  for (int i = 0; i < stored->rank; i++) out_input->shape.dim[i] = stored->dim[i];
  const bool aligned = (uintptr_t)stored->data % retc_dtype_size(dtype) == 0;
  if (stored->dtype == dtype && aligned && dtype != RETC_DTYPE_BOOL) return RETC_OK;
  void *data = retc_arena_alloc(arena, (size_t)stored->count * retc_dtype_size(dtype) + 1);
  if (!data) return retc_fail(c->diagnostics, RETC_FAILED, "%s: out of memory", input->name);
  const double *numbers = retc_arrays_find(&c->arrays, input->name)->tensor.data;
  retc_dtype_convert(RETC_DTYPE_F64, numbers, dtype, data, (size_t)stored->count);
  out_input->data = data;
  return RETC_OK;
}

static retc_status write_results(const call *c, const retc_run *run, retc_arena *arena) {
  const retc_entry_results results = retc_entry_get_results(c->compilation, c->compilation->plan, c->entry, arena);
  retc_tensor_to_write *tensors = RETC_NEW_ARRAY(arena, retc_tensor_to_write, results.names.count + 1);
  for (size_t i = 0; i < results.names.count; i++) {
    const char *name = results.names.items[i];
    retc_shape shape;
    tensors[i] = (retc_tensor_to_write){.name = name};
    tensors[i].data = retc_run_find_output(run, name, &tensors[i].dtype, &shape);
    if (!tensors[i].data)
      return retc_fail(c->diagnostics, RETC_INTERNAL, "output %s is not there after the call", name);
    tensors[i].rank = shape.rank;
    for (int axis = 0; axis < shape.rank; axis++) tensors[i].dim[axis] = shape.dim[axis];
  }
  return retc_safetensors_write(c->options->out, tensors, results.names.count, c->diagnostics);
}

static retc_status call_program(const call *c, retc_callable *callable) {
  retc_arena arena;
  retc_run *run = NULL;
  retc_arena_init(&arena);
  const retc_entry_inputs inputs = retc_entry_get_inputs(c->compilation, c->entry, &arena);
  retc_run_input *given = RETC_NEW_ARRAY(&arena, retc_run_input, inputs.list.count + 1);
  size_t count = 0;
  retc_status status = RETC_OK;
  for (size_t i = 0; i < inputs.list.count && status == RETC_OK; i++) {
    const retc_entry_input *input = &inputs.list.items[i];
    if (!strcmp(input->kind, "weight") || !retc_program_arrays_find(c->file, input->name)) continue;
    status = make_input(c, input, &arena, &given[count++]);
  }
  if (status == RETC_OK) status = retc_run_create_for(callable->program, &c->dims, c->diagnostics, &run);
  const char *entry = retc_entry_name(c->compilation, c->entry);
  if (status == RETC_OK) status = retc_run_call(run, entry, &c->dims, given, count, c->diagnostics);
  if (status == RETC_OK) status = write_results(c, run, &arena);
  if (status == RETC_OK && c->options->profile > 0) {
    const retc_plan *plan = c->compilation->plan;
    status = retc_program_profile(run, &plan->entries.items[c->entry], plan, &c->dims, given, count,
                                  c->gpu ? 1 : retc_run_threads(run), c->options->profile, c->diagnostics);
  }
  retc_run_destroy(run);
  retc_arena_deinit(&arena);
  return status;
}

static retc_status run_compiled(call *c) {
  const retc_callable_options options = {.threads = (int)c->options->threads, .cpu = c->options->cpu, .gpu = c->gpu,
                                         .name = c->source->path};
  retc_callable callable;
  retc_status status = retc_callable_init(&callable, c->compilation, c->file, &options, c->diagnostics);
  status = retc_compile_report(&c->compile, c->gpu ? "hip" : "llvm", c->compilation, status, c->diagnostics);
  if (status == RETC_OK) status = call_program(c, &callable);
  retc_callable_deinit(&callable);
  return status;
}

retc_status retc_run_program(const retc_source *source, const retc_run_program_options *options,
                             retc_diagnostics *diagnostics) {
  call c = {.source = source, .options = options, .diagnostics = diagnostics};
  retc_arrays_init(&c.arrays);
  retc_text_init(&c.remark);
  retc_status status = open_program(&c);
  if (status == RETC_OK) status = open_arrays(&c);
  if (status == RETC_OK) {
    retc_entry_inputs inputs = retc_entry_get_inputs(c.compilation, c.entry, &c.arrays.arena);
    inputs.file = retc_checkpoint_path(c.file);
    status = bind_arrays(&c, &inputs);
  }
  if (status == RETC_OK) status = compile(&c);
  if (status == RETC_OK) status = check_dims(&c);
  if (status == RETC_OK) status = run_compiled(&c);
  if (status == RETC_OK && c.remark.length) fputs(c.remark.data, stderr);
  retc_text_deinit(&c.remark);
  retc_arrays_deinit(&c.arrays);
  retc_checkpoint_destroy(c.file);
  retc_compilation_destroy(c.compilation);
  retc_gpu_close(c.gpu);
  return status;
}
