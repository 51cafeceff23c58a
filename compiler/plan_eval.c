#include "compiler/plan_eval.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel_eval.h"
#include "runtime/memory.h"

/* Memory of one buffer, or of those that share a slot. */
typedef struct memory {
  void *data; /* owned, or NULL */
  uint32_t *writer; /* owned; of scratch and outputs: one a byte, the buffer's index + 1 */
  int64_t bytes;
} memory;

typedef struct place {
  const void *lent; /* a weight or constant of somebody else */
  memory own;
  bool given;   /* weights, inputs and states: there is data */
  int rank;     /* inputs and states: the shape of the data */
  int64_t dim[RETC_RANK_MAX];
} place;

struct retc_plan_evaluation {
  const retc_plan *plan;
  const retc_kernel **kernels; /* of each of the plan's */
  place *places;               /* of each buffer */
  memory *slots;
  const char **names; /* by buffer index + 1 */
  bool *used;         /* of each buffer: by the entry that is called */
  const retc_plan_entry *last; /* that was called with success; NULL: none */
  retc_dims dims;              /* of that call */
};

/* What a buffer holds before it is written: numbers that nobody would take for right. */
enum { FILLING = 0xA5 };

static bool is_local(const retc_plan_buffer *buffer) {
  return buffer->kind == RETC_PLAN_SCRATCH || buffer->kind == RETC_PLAN_OUTPUT;
}

static const char *kind_name(retc_plan_buffer_kind kind) {
  return kind == RETC_PLAN_WEIGHT ? "weight" : kind == RETC_PLAN_STATE ? "state" : "input";
}

/* ---- memory ---- */

static void release(memory *m) {
  free(m->data);
  free(m->writer);
  *m = (memory){0};
}

static retc_status reserve(memory *m, const char *what, int64_t bytes, bool tracked, retc_diagnostics *diagnostics) {
  if (m->data && m->bytes == bytes) return RETC_OK;
  release(m);
  RETC_TRY(retc_memory_alloc(what, bytes, 1, diagnostics, &m->data));
  m->bytes = bytes;
  if (!tracked) return RETC_OK;
  void *writer;
  RETC_TRY(retc_memory_alloc(what, bytes, sizeof *m->writer, diagnostics, &writer));
  m->writer = writer;
  return RETC_OK;
}

static int64_t bytes_of(const retc_plan_buffer *buffer, const retc_dims *dims) {
  int64_t elements = retc_plan_buffer_elements(buffer, dims), size = (int64_t)retc_dtype_size(buffer->dtype);
  return elements > INT64_MAX / size ? INT64_MAX : elements * size;
}

/* ---- creation ---- */

static retc_status find_kernels(retc_plan_evaluation *e, const retc_kernel *const *kernels, size_t count,
                                retc_diagnostics *diagnostics) {
  for (size_t i = 0; i < e->plan->kernels.count; i++) {
    const retc_plan_kernel *wanted = &e->plan->kernels.items[i];
    for (size_t k = 0; k < count && !e->kernels[i]; k++) {
      if (!strcmp(kernels[k]->name, wanted->name)) e->kernels[i] = kernels[k];
    }
    if (!e->kernels[i]) return retc_fail(diagnostics, RETC_INTERNAL, "plan: kernel %s is not there", wanted->name);
    int found = retc_kernel_signature(e->kernels[i]).buffer_count;
    if (found != wanted->buffer_count)
      return retc_fail(diagnostics, RETC_INTERNAL, "plan: kernel %s has %d buffers, expected %d", wanted->name, found,
                       wanted->buffer_count);
  }
  return RETC_OK;
}

retc_status retc_plan_evaluation_create(const retc_plan *plan, const retc_kernel *const *kernels, size_t count,
                                        retc_diagnostics *diagnostics, retc_plan_evaluation **out_evaluation) {
  retc_plan_evaluation *e = calloc(1, sizeof *e);
  if (!e) return retc_fail(diagnostics, RETC_FAILED, "plan: out of memory");
  e->plan = plan;
  e->kernels = calloc(plan->kernels.count + 1, sizeof *e->kernels);
  e->places = calloc(plan->buffers.count + 1, sizeof *e->places);
  e->slots = calloc(plan->slots.count + 1, sizeof *e->slots);
  e->names = calloc(plan->buffers.count + 1, sizeof *e->names);
  e->used = calloc(plan->buffers.count + 1, sizeof *e->used);
  bool complete = e->kernels && e->places && e->slots && e->names && e->used;
  retc_status status = complete ? find_kernels(e, kernels, count, diagnostics)
                                : retc_fail(diagnostics, RETC_FAILED, "plan: out of memory");
  if (status != RETC_OK) {
    retc_plan_evaluation_destroy(e);
    return status;
  }
  for (size_t i = 0; i < plan->buffers.count; i++) {
    e->names[i + 1] = plan->buffers.items[i].name;
    if (plan->buffers.items[i].kind == RETC_PLAN_CONSTANT) e->places[i].lent = plan->buffers.items[i].constant;
  }
  *out_evaluation = e;
  return RETC_OK;
}

void retc_plan_evaluation_destroy(retc_plan_evaluation *e) {
  if (!e) return;
  for (size_t i = 0; e->places && i < e->plan->buffers.count; i++) release(&e->places[i].own);
  for (size_t i = 0; e->slots && i < e->plan->slots.count; i++) release(&e->slots[i]);
  free(e->kernels);
  free(e->places);
  free(e->slots);
  free(e->names);
  free(e->used);
  free(e);
}

/* ---- what goes in ---- */

void retc_plan_evaluation_lend_weights(retc_plan_evaluation *e, const retc_weights *weights) {
  for (size_t i = 0; i < e->plan->buffers.count && i < weights->count; i++) {
    if (e->plan->buffers.items[i].kind == RETC_PLAN_WEIGHT) e->places[i].lent = weights->data[i];
  }
}

static void print_array(const retc_plan_array *array, retc_text *out_text) {
  retc_text_printf(out_text, "%s[", retc_dtype_name(array->dtype));
  for (int i = 0; i < array->rank; i++) retc_text_printf(out_text, "%s%" PRId64, i ? "," : "", array->dim[i]);
  retc_text_add(out_text, "]");
}

static void print_buffer(const retc_plan_buffer *buffer, retc_text *out_text) {
  retc_text_printf(out_text, "%s[", retc_dtype_name(buffer->dtype));
  for (int i = 0; i < buffer->shape.rank; i++) {
    retc_dim dim = buffer->shape.dim[i];
    if (i) retc_text_add(out_text, ",");
    if (retc_dim_is_named(dim)) retc_text_add(out_text, retc_dim_text((retc_dim_name)~dim));
    else retc_text_printf(out_text, "%" PRId64, dim);
  }
  retc_text_add(out_text, "]");
}

static retc_status wrong_array(const retc_plan_buffer *buffer, const retc_plan_array *array,
                               retc_diagnostics *diagnostics) {
  retc_text text;
  retc_text_init(&text);
  print_array(array, &text);
  retc_text_add(&text, ", expected ");
  print_buffer(buffer, &text);
  retc_status status = retc_fail(diagnostics, RETC_INVALID, "%s '%s' is %s", kind_name(buffer->kind), buffer->name,
                                 text.data ? text.data : "another");
  retc_text_deinit(&text);
  return status;
}

static retc_status find_settable(const retc_plan_evaluation *e, const char *name, retc_diagnostics *diagnostics,
                                 size_t *out_index) {
  int index = retc_plan_find_buffer(e->plan, name);
  retc_plan_buffer_kind kind = index < 0 ? RETC_PLAN_SCRATCH : e->plan->buffers.items[index].kind;
  *out_index = (size_t)index;
  if (kind == RETC_PLAN_WEIGHT || kind == RETC_PLAN_INPUT || kind == RETC_PLAN_STATE) return RETC_OK;
  const char *nearest = retc_nearest(name, e->names + 1, e->plan->buffers.count);
  return retc_fail(diagnostics, RETC_INVALID, "the program has no weight, input or state called '%s'%s%s%s", name,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static retc_status set_weight(place *p, const retc_plan_buffer *buffer, const retc_plan_array *array,
                              retc_diagnostics *diagnostics) {
  const retc_dims none = {0};
  RETC_TRY(reserve(&p->own, buffer->name, bytes_of(buffer, &none), false, diagnostics));
  if (buffer->layout != RETC_LAYOUT_PLAIN)
    retc_pack(buffer->layout, array->dtype, array->data, array->dim[0], array->dim[1], buffer->dtype, p->own.data);
  else
    retc_dtype_convert(array->dtype, array->data, buffer->dtype, p->own.data,
                       (size_t)retc_plan_buffer_elements(buffer, &none));
  p->lent = NULL;
  return RETC_OK;
}

static retc_status set_copy(place *p, const retc_plan_buffer *buffer, const retc_plan_array *array,
                            retc_diagnostics *diagnostics) {
  retc_plan_buffer exact = *buffer;
  const retc_dims none = {0};
  memcpy(exact.shape.dim, array->dim, sizeof exact.shape.dim);
  RETC_TRY(reserve(&p->own, buffer->name, bytes_of(&exact, &none), false, diagnostics));
  if (p->own.bytes) memcpy(p->own.data, array->data, (size_t)p->own.bytes);
  return RETC_OK;
}

retc_status retc_plan_evaluation_set(retc_plan_evaluation *e, const char *name, const retc_plan_array *array,
                                     retc_diagnostics *diagnostics) {
  size_t index;
  RETC_TRY(find_settable(e, name, diagnostics, &index));
  const retc_plan_buffer *buffer = &e->plan->buffers.items[index];
  place *p = &e->places[index];
  bool weight = buffer->kind == RETC_PLAN_WEIGHT;
  bool fits = array->rank == buffer->shape.rank && (weight || array->dtype == buffer->dtype);
  for (int i = 0; fits && i < array->rank; i++) {
    fits = array->dim[i] >= 0 && (retc_dim_is_named(buffer->shape.dim[i]) || array->dim[i] == buffer->shape.dim[i]);
  }
  if (!fits) return wrong_array(buffer, array, diagnostics);
  RETC_TRY(weight ? set_weight(p, buffer, array, diagnostics) : set_copy(p, buffer, array, diagnostics));
  p->given = true;
  p->rank = array->rank;
  memcpy(p->dim, array->dim, sizeof p->dim);
  return RETC_OK;
}

void retc_plan_evaluation_reset(retc_plan_evaluation *e) {
  for (size_t i = 0; i < e->plan->buffers.count; i++) {
    if (e->plan->buffers.items[i].kind != RETC_PLAN_STATE) continue;
    release(&e->places[i].own);
    e->places[i].given = false;
  }
}

/* ---- a call ---- */

static retc_status find_entry(const retc_plan_evaluation *e, const char *name, retc_diagnostics *diagnostics,
                              const retc_plan_entry **out_entry) {
  int index = retc_plan_find_entry(e->plan, name);
  *out_entry = index < 0 ? NULL : &e->plan->entries.items[index];
  if (*out_entry) return RETC_OK;
  size_t count = e->plan->entries.count;
  const char **names = calloc(count + 1, sizeof *names);
  for (size_t i = 0; names && i < count; i++) names[i] = e->plan->entries.items[i].name;
  const char *nearest = names ? retc_nearest(name, names, count) : NULL;
  free(names);
  return retc_fail(diagnostics, RETC_INVALID, "the program has no entry called '%s'%s%s%s", name,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static void find_used(retc_plan_evaluation *e, const retc_plan_entry *entry) {
  memset(e->used, 0, e->plan->buffers.count * sizeof *e->used);
  for (size_t i = 0; i < entry->steps.count; i++) {
    const retc_plan_step *step = &entry->steps.items[i];
    for (int k = 0; k < e->plan->kernels.items[step->kernel].buffer_count; k++) e->used[step->buffers[k]] = true;
  }
  for (size_t i = 0; i < entry->outputs.count; i++) e->used[entry->outputs.items[i].buffer] = true;
}

/* An input or state must be of the shape that the call gives it. */
static retc_status check_shape(const retc_plan_buffer *buffer, const place *p, const retc_dims *dims,
                               retc_diagnostics *diagnostics) {
  for (int i = 0; i < p->rank; i++) {
    int64_t expected = retc_dim_value(buffer->shape.dim[i], dims);
    if (p->dim[i] == expected) continue;
    return retc_fail(diagnostics, RETC_INVALID,
                     "axis %d of %s '%s' is %" PRId64 ", but the call has %s = %" PRId64, i, kind_name(buffer->kind),
                     buffer->name, p->dim[i], retc_dim_text((retc_dim_name)~buffer->shape.dim[i]), expected);
  }
  return RETC_OK;
}

static retc_status make_state(place *p, const retc_plan_buffer *buffer, const retc_dims *dims,
                              retc_diagnostics *diagnostics) {
  RETC_TRY(reserve(&p->own, buffer->name, bytes_of(buffer, dims), false, diagnostics));
  memset(p->own.data, 0, (size_t)p->own.bytes);
  p->given = true;
  p->rank = buffer->shape.rank;
  for (int i = 0; i < p->rank; i++) p->dim[i] = retc_dim_value(buffer->shape.dim[i], dims);
  return RETC_OK;
}

static memory *local_memory(const retc_plan_evaluation *e, size_t index) {
  int slot = e->plan->buffers.items[index].slot;
  return slot >= 0 && (size_t)slot < e->plan->slots.count ? &e->slots[slot] : &e->places[index].own;
}

/* Slots are as large as the largest buffer that this entry has there. */
static retc_status prepare_locals(retc_plan_evaluation *e, const retc_dims *dims, retc_diagnostics *diagnostics) {
  size_t count = e->plan->buffers.count;
  int64_t *bytes = calloc(e->plan->slots.count + 1, sizeof *bytes);
  if (!bytes) return retc_fail(diagnostics, RETC_FAILED, "plan: out of memory");
  for (size_t i = 0; i < count; i++) {
    memory *m = local_memory(e, i);
    if (!e->used[i] || !is_local(&e->plan->buffers.items[i]) || m == &e->places[i].own) continue;
    int64_t wanted = bytes_of(&e->plan->buffers.items[i], dims);
    if (wanted > bytes[m - e->slots]) bytes[m - e->slots] = wanted;
  }
  retc_status status = RETC_OK;
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    const retc_plan_buffer *buffer = &e->plan->buffers.items[i];
    if (!e->used[i] || !is_local(buffer)) continue;
    memory *m = local_memory(e, i);
    int64_t wanted = m == &e->places[i].own ? bytes_of(buffer, dims) : bytes[m - e->slots];
    status = reserve(m, buffer->name, wanted, true, diagnostics);
    if (status != RETC_OK) break;
    memset(m->data, FILLING, (size_t)wanted);
    memset(m->writer, 0, (size_t)wanted * sizeof *m->writer);
  }
  free(bytes);
  return status;
}

static retc_status prepare(retc_plan_evaluation *e, const retc_dims *dims, retc_diagnostics *diagnostics) {
  for (size_t i = 0; i < e->plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &e->plan->buffers.items[i];
    place *p = &e->places[i];
    if (!e->used[i] || is_local(buffer)) continue;
    if (buffer->kind == RETC_PLAN_STATE && !p->given) RETC_TRY(make_state(p, buffer, dims, diagnostics));
    if (!p->lent && !p->own.data)
      return retc_fail(diagnostics, RETC_INVALID, "%s '%s' was not set", kind_name(buffer->kind), buffer->name);
    RETC_TRY(check_shape(buffer, p, dims, diagnostics));
  }
  return prepare_locals(e, dims, diagnostics);
}

static retc_kernel_memory memory_of(retc_plan_evaluation *e, size_t index, const retc_dims *dims) {
  const retc_plan_buffer *buffer = &e->plan->buffers.items[index];
  place *p = &e->places[index];
  const memory *m = is_local(buffer) ? local_memory(e, index) : &p->own;
  return (retc_kernel_memory){.data = p->lent ? (void *)p->lent : m->data,
                              .bytes = bytes_of(buffer, dims),
                              .writer = m->writer,
                              .id = (uint32_t)index + 1,
                              .names = e->names};
}

/* The parameters' names in the kernel say little: what they stand for is added. */
static retc_status blame_step(const retc_plan_evaluation *e, const retc_plan_entry *entry, size_t number,
                              retc_status status, retc_diagnostics *diagnostics) {
  const retc_plan_step *step = &entry->steps.items[number];
  const retc_kernel *kernel = e->kernels[step->kernel];
  retc_text text;
  retc_text_init(&text);
  int parameter = 0;
  for (size_t i = 1; i < kernel->buffers.count; i++) {
    if (kernel->buffers.items[i].scope != RETC_SCOPE_GLOBAL) continue;
    const retc_plan_buffer *buffer = &e->plan->buffers.items[step->buffers[parameter++]];
    retc_text_printf(&text, "%s%s is '%s'", parameter > 1 ? ", " : "", kernel->buffers.items[i].name, buffer->name);
    if (is_local(buffer) && buffer->slot >= 0) retc_text_printf(&text, " in slot %d", buffer->slot);
  }
  retc_fail(diagnostics, status, "entry %s, step %zu, region %s: %s", entry->name, number,
            step->region ? step->region : "?", text.data ? text.data : "");
  retc_text_deinit(&text);
  return status;
}

static retc_status run_step(retc_plan_evaluation *e, const retc_plan_entry *entry, size_t number,
                            const retc_dims *dims, retc_diagnostics *diagnostics) {
  const retc_plan_step *step = &entry->steps.items[number];
  size_t count = (size_t)e->plan->kernels.items[step->kernel].buffer_count;
  retc_kernel_memory *memories = calloc(count + 1, sizeof *memories);
  if (!memories) return retc_fail(diagnostics, RETC_FAILED, "plan: out of memory");
  for (size_t i = 0; i < count; i++) memories[i] = memory_of(e, (size_t)step->buffers[i], dims);
  retc_status status = retc_kernel_eval(e->kernels[step->kernel], dims, memories, count, diagnostics);
  free(memories);
  return status == RETC_OK ? RETC_OK : blame_step(e, entry, number, status, diagnostics);
}

/* Every byte of an output must be its own. */
static retc_status check_output(retc_plan_evaluation *e, const char *entry, int index, const retc_dims *dims,
                                retc_diagnostics *diagnostics) {
  const retc_plan_buffer *buffer = &e->plan->buffers.items[index];
  if (!is_local(buffer)) return RETC_OK;
  const memory *m = local_memory(e, (size_t)index);
  int64_t bytes = bytes_of(buffer, dims), size = (int64_t)retc_dtype_size(buffer->dtype);
  for (int64_t i = 0; i < bytes; i++) {
    uint32_t writer = m->writer[i];
    if (writer == (uint32_t)index + 1) continue;
    return retc_fail(diagnostics, RETC_FAILED, "entry %s: element %" PRId64 " of output '%s' %s%s%s", entry, i / size,
                     buffer->name, writer ? "was overwritten as '" : "is not written", writer ? e->names[writer] : "",
                     writer ? "'" : "");
  }
  return RETC_OK;
}

retc_status retc_plan_evaluation_call(retc_plan_evaluation *e, const char *name, const retc_dims *dims,
                                      retc_diagnostics *diagnostics) {
  const retc_plan_entry *entry;
  RETC_TRY(find_entry(e, name, diagnostics, &entry));
  e->last = NULL;
  find_used(e, entry);
  RETC_TRY(prepare(e, dims, diagnostics));
  for (size_t i = 0; i < entry->steps.count; i++) RETC_TRY(run_step(e, entry, i, dims, diagnostics));
  for (size_t i = 0; i < entry->outputs.count; i++) {
    RETC_TRY(check_output(e, name, entry->outputs.items[i].buffer, dims, diagnostics));
  }
  e->last = entry;
  e->dims = *dims;
  return RETC_OK;
}

/* ---- what comes out ---- */

bool retc_plan_evaluation_find(const retc_plan_evaluation *e, const char *name, retc_plan_array *out_array) {
  int index = -1;
  for (size_t i = 0; e->last && i < e->last->outputs.count; i++) {
    if (!strcmp(e->last->outputs.items[i].name, name)) index = e->last->outputs.items[i].buffer;
  }
  bool output = index >= 0;
  if (!output) index = retc_plan_find_buffer(e->plan, name);
  if (index < 0 || (!output && e->plan->buffers.items[index].kind != RETC_PLAN_STATE)) return false;
  const retc_plan_buffer *buffer = &e->plan->buffers.items[index];
  const place *p = &e->places[index];
  const memory *m = is_local(buffer) ? local_memory(e, (size_t)index) : &p->own;
  *out_array = (retc_plan_array){buffer->dtype, buffer->shape.rank, {0}, p->lent ? p->lent : m->data};
  for (int i = 0; i < buffer->shape.rank; i++) {
    out_array->dim[i] = p->rank ? p->dim[i] : retc_dim_value(buffer->shape.dim[i], &e->dims);
  }
  return out_array->data != NULL;
}
