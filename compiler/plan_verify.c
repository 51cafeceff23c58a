#include "compiler/plan_verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Steps of the entry; -1: none. */
typedef struct lifetime {
  int first, last, writer;
  const char *region; /* of the writer: its further launches, of which one alone has blocks, write the same */
  bool output;
} lifetime;

typedef struct checker {
  const retc_plan *plan;
  const retc_kernel *const *kernels;
  size_t kernel_count;
  retc_diagnostics *diagnostics;
  retc_plan_place *place; /* of what is found */
  const retc_plan_entry *entry;
  int step;         /* -1: the entry as a whole */
  lifetime *lives;  /* of each buffer, in this entry */
  bool *checked;    /* of each kernel: its signature */
} checker;

static retc_status fail(const checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static retc_status fail(const checker *c, const char *format, ...) {
  char problem[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(problem, sizeof problem, format, arguments);
  va_end(arguments);
  *c->place = (retc_plan_place){(int)(c->entry - c->plan->entries.items), c->step};
  if (c->step < 0) return retc_fail(c->diagnostics, RETC_INTERNAL, "plan: entry %s: %s", c->entry->name, problem);
  const char *region = c->entry->steps.items[c->step].region;
  return retc_fail(c->diagnostics, RETC_INTERNAL, "plan: entry %s, step %d%s%s: %s", c->entry->name, c->step,
                   region ? ", region " : "", region ? region : "", problem);
}

static const retc_plan_buffer *buffer_at(const checker *c, int index) { return &c->plan->buffers.items[index]; }

static bool is_local(const retc_plan_buffer *buffer) {
  return buffer->kind == RETC_PLAN_SCRATCH || buffer->kind == RETC_PLAN_OUTPUT;
}

/* ---- kernels and arguments ---- */

static const retc_kernel *find_kernel(const checker *c, int index) {
  for (size_t i = 0; i < c->kernel_count; i++) {
    if (!strcmp(c->kernels[i]->name, c->plan->kernels.items[index].name)) return c->kernels[i];
  }
  return NULL;
}

static retc_status check_signature(const checker *c, const retc_plan_kernel *described, const retc_kernel *kernel) {
  retc_signature signature = retc_kernel_signature(kernel);
  bool same = signature.buffer_count == described->buffer_count && signature.dim_count == described->dim_count &&
              signature.scratch_bytes == described->scratch_bytes;
  for (int i = 0; same && i < signature.dim_count; i++) same = signature.dims[i] == described->dims[i];
  return same ? RETC_OK : fail(c, "kernel %s has another signature than the plan says", described->name);
}

static void print_type(retc_dtype dtype, const retc_shape *shape, retc_text *out_text) {
  retc_text_printf(out_text, "%s[", retc_dtype_name(dtype));
  for (int i = 0; i < shape->rank; i++) {
    if (i) retc_text_add(out_text, ",");
    if (retc_dim_is_named(shape->dim[i])) retc_text_add(out_text, retc_dim_text((retc_dim_name)~shape->dim[i]));
    else retc_text_printf(out_text, "%lld", (long long)shape->dim[i]);
  }
  retc_text_add(out_text, "]");
}

static retc_status check_type(const checker *c, const retc_plan_buffer *buffer, const retc_kernel *kernel,
                              const retc_buffer *parameter) {
  retc_shape shape = retc_plan_buffer_memory_shape(buffer);
  const retc_dtype dtype = retc_weight_layout_dtype(buffer->layout, buffer->dtype);
  if (dtype == parameter->dtype && retc_shape_equal(&shape, &parameter->shape)) return RETC_OK;
  retc_text text;
  retc_text_init(&text);
  print_type(dtype, &shape, &text);
  retc_text_printf(&text, ", parameter %s of kernel %s is ", parameter->name, kernel->name);
  print_type(parameter->dtype, &parameter->shape, &text);
  retc_status status = fail(c, "buffer '%s' is %s", buffer->name, text.data ? text.data : "another");
  retc_text_deinit(&text);
  return status;
}

/* The step that wrote the buffer; -1: none, or an earlier launch of the region at hand. */
static int writer_of(const checker *c, int index) {
  const lifetime *life = &c->lives[index];
  const char *region = c->entry->steps.items[c->step].region;
  return life->region && region && !strcmp(life->region, region) ? -1 : life->writer;
}

static retc_status check_read(const checker *c, int index) {
  const retc_plan_buffer *buffer = buffer_at(c, index);
  int writer = writer_of(c, index);
  if (is_local(buffer) && c->lives[index].writer < 0)
    return fail(c, "buffer '%s' is read before it is written", buffer->name);
  if (buffer->kind == RETC_PLAN_STATE && writer >= 0)
    return fail(c, "state '%s' is read after step %d replaced it", buffer->name, writer);
  return RETC_OK;
}

static retc_status check_write(const checker *c, int index) {
  const retc_plan_buffer *buffer = buffer_at(c, index);
  int writer = writer_of(c, index);
  if (!is_local(buffer) && buffer->kind != RETC_PLAN_STATE)
    return fail(c, "buffer '%s' is written, it is a weight, constant or input", buffer->name);
  if (writer >= 0) return fail(c, "two writers of one buffer: '%s' is written by step %d too", buffer->name, writer);
  return RETC_OK;
}

static retc_status check_repeated(const checker *c, const retc_plan_step *step, const retc_kernel *kernel,
                                  int argument) {
  for (int i = 0; i < c->plan->kernels.items[step->kernel].buffer_count; i++) {
    if (i == argument || step->buffers[i] != step->buffers[argument]) continue;
    return fail(c, "kernel %s writes buffer '%s' and gets it twice", kernel->name,
                buffer_at(c, step->buffers[argument])->name);
  }
  return RETC_OK;
}

/* The arguments are looked at before any of them counts as written. */
static retc_status check_arguments(const checker *c, const retc_plan_step *step, const retc_kernel *kernel) {
  int argument = 0;
  for (size_t i = 1; i < kernel->buffers.count; i++) {
    const retc_buffer *parameter = &kernel->buffers.items[i];
    if (parameter->scope != RETC_SCOPE_GLOBAL) continue;
    int index = step->buffers[argument];
    if (index < 0 || (size_t)index >= c->plan->buffers.count)
      return fail(c, "argument %d of kernel %s is buffer %d, there are %zu", argument, kernel->name, index,
                  c->plan->buffers.count);
    argument++;
  }
  argument = 0;
  for (size_t i = 1; i < kernel->buffers.count; i++) {
    const retc_buffer *parameter = &kernel->buffers.items[i];
    if (parameter->scope != RETC_SCOPE_GLOBAL) continue;
    int index = step->buffers[argument];
    bool writes = parameter->access & RETC_ACCESS_WRITE;
    RETC_TRY(check_type(c, buffer_at(c, index), kernel, parameter));
    if (writes) RETC_TRY(check_repeated(c, step, kernel, argument));
    bool state = buffer_at(c, index)->kind == RETC_PLAN_STATE;
    if ((parameter->access & RETC_ACCESS_READ) && (state || !writes)) RETC_TRY(check_read(c, index));
    if (writes) RETC_TRY(check_write(c, index));
    argument++;
  }
  return RETC_OK;
}

static void live(const checker *c, const retc_plan_step *step, const retc_kernel *kernel) {
  int argument = 0;
  for (size_t i = 1; i < kernel->buffers.count; i++) {
    const retc_buffer *parameter = &kernel->buffers.items[i];
    if (parameter->scope != RETC_SCOPE_GLOBAL) continue;
    lifetime *life = &c->lives[step->buffers[argument++]];
    if (life->first < 0) life->first = c->step;
    life->last = c->step;
    if (!(parameter->access & RETC_ACCESS_WRITE)) continue;
    life->writer = c->step;
    life->region = step->region;
  }
}

static retc_status check_step(const checker *c, const retc_plan_step *step) {
  if (step->kernel < 0 || (size_t)step->kernel >= c->plan->kernels.count)
    return fail(c, "kernel %d, there are %zu", step->kernel, c->plan->kernels.count);
  const retc_plan_kernel *described = &c->plan->kernels.items[step->kernel];
  const retc_kernel *kernel = find_kernel(c, step->kernel);
  if (!kernel) return fail(c, "kernel %s does not exist", described->name);
  if (!c->checked[step->kernel]) RETC_TRY(check_signature(c, described, kernel));
  c->checked[step->kernel] = true;
  RETC_TRY(check_arguments(c, step, kernel));
  live(c, step, kernel);
  return RETC_OK;
}

/* ---- outputs and slots ---- */

static retc_status check_outputs(const checker *c) {
  for (size_t i = 0; i < c->entry->outputs.count; i++) {
    const retc_plan_output *output = &c->entry->outputs.items[i];
    if (output->buffer < 0 || (size_t)output->buffer >= c->plan->buffers.count)
      return fail(c, "output '%s' is buffer %d, there are %zu", output->name, output->buffer, c->plan->buffers.count);
    lifetime *life = &c->lives[output->buffer];
    if (is_local(buffer_at(c, output->buffer)) && life->writer < 0)
      return fail(c, "output '%s', buffer '%s', is not written", output->name, buffer_at(c, output->buffer)->name);
    life->output = true;
  }
  return RETC_OK;
}

static bool overlaps(const lifetime *a, const lifetime *b) {
  return (a->output || b->first <= a->last) && (b->output || a->first <= b->last);
}

/* `later` begins when or after `earlier` does. */
static retc_status check_slots(const checker *c) {
  for (size_t a = 0; a < c->plan->buffers.count; a++) {
    const retc_plan_buffer *one = buffer_at(c, (int)a);
    if (!is_local(one) || one->slot < 0 || c->lives[a].first < 0) continue;
    if ((size_t)one->slot >= c->plan->slots.count)
      return fail(c, "buffer '%s' is in slot %d, there are %zu", one->name, one->slot, c->plan->slots.count);
    for (size_t b = 0; b < a; b++) {
      const retc_plan_buffer *other = buffer_at(c, (int)b);
      if (!is_local(other) || other->slot != one->slot || c->lives[b].first < 0) continue;
      if (!overlaps(&c->lives[a], &c->lives[b])) continue;
      checker at = *c;
      at.step = c->lives[a].first > c->lives[b].first ? c->lives[a].first : c->lives[b].first;
      return fail(&at, "buffers '%s' and '%s' are in use at the same time in slot %d", other->name, one->name,
                  one->slot);
    }
  }
  return RETC_OK;
}

static retc_status check_entry(checker *c) {
  for (size_t i = 0; i < c->plan->buffers.count; i++) c->lives[i] = (lifetime){-1, -1, -1, NULL, false};
  for (size_t i = 0; i < c->entry->steps.count; i++) {
    c->step = (int)i;
    RETC_TRY(check_step(c, &c->entry->steps.items[i]));
  }
  c->step = -1;
  RETC_TRY(check_outputs(c));
  return check_slots(c);
}

retc_status retc_plan_verify(const retc_plan *plan, const retc_kernel *const *kernels, size_t count,
                             retc_diagnostics *diagnostics, retc_plan_place *out_place) {
  retc_arena arena;
  retc_arena_init(&arena);
  checker c = {.plan = plan, .kernels = kernels, .kernel_count = count, .diagnostics = diagnostics,
               .place = out_place};
  c.lives = RETC_NEW_ARRAY(&arena, lifetime, plan->buffers.count + 1);
  c.checked = RETC_NEW_ARRAY(&arena, bool, plan->kernels.count + 1);
  retc_status status = RETC_OK;
  for (size_t i = 0; i < plan->entries.count && status == RETC_OK; i++) {
    c.entry = &plan->entries.items[i];
    status = check_entry(&c);
  }
  retc_arena_deinit(&arena);
  return status;
}
