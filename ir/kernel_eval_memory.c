#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel_eval_internal.h"
#include "ir/kernel_walk.h"

/* ---- words ---- */

static void print_loops(const retc_interpreter *in, const retc_loop_frame *frame, retc_text *text) {
  if (!frame) return;
  print_loops(in, frame->outer, text);
  const retc_variable variable = frame->loop->variable;
  retc_text_printf(text, "%s%s = %" PRId64, frame->outer ? ", " : ", with ",
                   in->kernel->variables.items[variable.index], in->slots[retc_interpreter_slot(in, variable)].i64);
}

retc_status retc_interpreter_fail(retc_interpreter *in, const char *format, ...) {
  retc_text text;
  retc_text_init(&text);
  char problem[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(problem, sizeof problem, format, arguments);
  va_end(arguments);
  retc_text_printf(&text, "kernel %s: %s", in->kernel->name, problem);
  if (in->running) {
    retc_text_add(&text, ", in: ");
    retc_statement_print_head(in->kernel, in->running->statement, &text);
    print_loops(in, in->loops, &text);
  }
  retc_status status = retc_fail(in->diagnostics, RETC_FAILED, "%s", text.data ? text.data : "out of memory");
  retc_text_deinit(&text);
  return status;
}

/* "element [0,3,5] of key" and the like. */
typedef struct phrase {
  char text[256];
} phrase;

static phrase describe(const retc_cell *cell, int64_t element) {
  phrase words;
  retc_text text;
  retc_text_init(&text);
  retc_text_add(&text, "element [");
  for (int axis = 0; axis < cell->buffer->shape.rank; axis++) {
    int64_t extent = cell->extent[axis] ? cell->extent[axis] : 1;
    retc_text_printf(&text, "%s%" PRId64, axis ? "," : "", element / cell->stride[axis] % extent);
  }
  snprintf(words.text, sizeof words.text, "%s] of %s", text.data ? text.data : "", cell->buffer->name);
  retc_text_deinit(&text);
  return words;
}

static retc_status out_of_memory(retc_interpreter *in, const retc_cell *cell) {
  return retc_interpreter_fail(in, "out of memory for %s of %" PRId64 " elements", cell->buffer->name, cell->elements);
}

/* ---- buffers ---- */

static retc_status add_stamps(retc_interpreter *in, retc_cell *cell) {
  for (int kind = 0; kind < RETC_WATCH_COUNT; kind++) {
    if (!(cell->watched & 1u << kind) || cell->stamps[kind]) continue;
    cell->stamps[kind] = calloc((size_t)cell->elements + 1, sizeof(retc_stamp));
    if (!cell->stamps[kind]) return out_of_memory(in, cell);
  }
  return RETC_OK;
}

static retc_status bind_parameter(retc_interpreter *in, retc_cell *cell, const retc_kernel_memory *memory) {
  if (cell->elements > INT64_MAX / cell->size || memory->bytes < cell->elements * cell->size)
    return retc_interpreter_fail(in, "parameter %s has %" PRId64 " bytes for %" PRId64 " elements of %" PRId64,
                                 cell->buffer->name, memory->bytes, cell->elements, cell->size);
  cell->parameter = memory;
  cell->data = memory->data;
  return add_stamps(in, cell);
}

/* Code may assume that memory which is written has one name only. */
static retc_status check_overlap(retc_interpreter *in) {
  for (size_t i = 1; i < in->kernel->buffers.count; i++) {
    const retc_cell *a = &in->cells[i];
    if (!a->parameter || !(a->buffer->access & RETC_ACCESS_WRITE)) continue;
    for (size_t j = 1; j < in->kernel->buffers.count; j++) {
      const retc_cell *b = &in->cells[j];
      if (a == b || !b->parameter || !a->elements || !b->elements) continue;
      uintptr_t first = (uintptr_t)a->data, second = (uintptr_t)b->data;
      if (first < second + (uintptr_t)(b->elements * b->size) && second < first + (uintptr_t)(a->elements * a->size))
        return retc_interpreter_fail(in, "parameters %s and %s share memory, and %s is written", a->buffer->name,
                                     b->buffer->name, a->buffer->name);
    }
  }
  return RETC_OK;
}

static void measure(const retc_interpreter *in, retc_cell *cell) {
  cell->size = (int64_t)retc_dtype_size(cell->buffer->dtype);
  cell->elements = retc_shape_count(&cell->buffer->shape, &in->dims);
  int64_t stride = 1;
  for (int axis = cell->buffer->shape.rank - 1; axis >= 0; axis--) {
    cell->extent[axis] = retc_dim_value(cell->buffer->shape.dim[axis], &in->dims);
    cell->stride[axis] = stride;
    stride = cell->extent[axis] && stride > INT64_MAX / cell->extent[axis] ? INT64_MAX : stride * cell->extent[axis];
    if (!stride) stride = 1; /* an empty buffer has no element whose place would matter */
  }
}

retc_status retc_interpreter_bind(retc_interpreter *in, const retc_kernel_memory *memories, size_t count) {
  size_t parameter = 0;
  for (size_t i = 1; i < in->kernel->buffers.count; i++) {
    retc_cell *cell = &in->cells[i];
    measure(in, cell);
    if (cell->buffer->scope != RETC_SCOPE_GLOBAL) continue;
    if (parameter < count) RETC_TRY(bind_parameter(in, cell, &memories[parameter]));
    parameter++;
  }
  if (parameter != count)
    return retc_interpreter_fail(in, "%zu memories for %zu parameters", count, parameter);
  return check_overlap(in);
}

void retc_interpreter_unbind(retc_interpreter *in) {
  for (size_t i = 1; i < in->kernel->buffers.count; i++) {
    retc_cell *cell = &in->cells[i];
    for (int kind = 0; kind < RETC_WATCH_COUNT; kind++) free(cell->stamps[kind]);
    free(cell->all_data);
    free(cell->all_defined);
  }
}

/* At least this many copies; the new ones are undefined. */
static retc_status grow(retc_interpreter *in, retc_cell *cell, int64_t copies) {
  if (copies <= cell->copies) return RETC_OK;
  if (copies < 2 * cell->copies) copies = 2 * cell->copies;
  if (cell->elements && copies > (INT64_MAX / cell->size - 1) / cell->elements) return out_of_memory(in, cell);
  size_t elements = (size_t)(copies * cell->elements), old = (size_t)(cell->copies * cell->elements);
  char *data = realloc(cell->all_data, elements * (size_t)cell->size + 1);
  if (data) cell->all_data = data;
  uint8_t *defined = realloc(cell->all_defined, elements + 1);
  if (defined) cell->all_defined = defined;
  if (!data || !defined) return out_of_memory(in, cell);
  memset(defined + old, 0, elements - old);
  cell->copies = copies;
  return RETC_OK;
}

static void choose_copy(retc_cell *cell, int64_t copy) {
  cell->data = cell->all_data + copy * cell->elements * cell->size;
  cell->defined = cell->all_defined + copy * cell->elements;
}

/* What stands outside of the lanes of a block is for all of them. */
retc_status retc_interpreter_alloc(retc_interpreter *in, retc_cell *cell) {
  int64_t copy = cell->buffer->scope == RETC_SCOPE_PRIVATE ? in->lane : 0;
  RETC_TRY(grow(in, cell, copy + 1));
  RETC_TRY(add_stamps(in, cell));
  choose_copy(cell, copy);
  if (in->in_lanes) memset(cell->defined, 0, (size_t)cell->elements);
  else memset(cell->all_defined, 0, (size_t)(cell->copies * cell->elements));
  return RETC_OK;
}

retc_status retc_interpreter_enter_lane(retc_interpreter *in, int64_t lane) {
  in->lane = lane;
  retc_watch *watch = &in->watches[RETC_WATCH_LANE];
  watch->current = watch->base + 1 + (uint64_t)lane;
  for (size_t i = 1; i < in->kernel->buffers.count; i++) {
    retc_cell *cell = &in->cells[i];
    if (!cell->all_data || cell->buffer->scope != RETC_SCOPE_PRIVATE) continue;
    RETC_TRY(grow(in, cell, lane + 1));
    choose_copy(cell, lane);
  }
  return RETC_OK;
}

/* The numbers of lanes stay below 2^32: each takes memory. */
void retc_interpreter_separate_lanes(retc_interpreter *in) {
  retc_watch *watch = &in->watches[RETC_WATCH_LANE];
  watch->base += UINT64_C(1) << 32;
  watch->current = watch->base + 1 + (uint64_t)in->lane;
}

/* ---- what may run at the same time ---- */

static bool collides(const retc_watch *watch, uint64_t stamp) { return stamp > watch->base && stamp != watch->current; }

/* "iterations 2 and 5 of the parallel loop". Blocks of nested loops have no numbers that a reader would know. */
static phrase describe_turns(const retc_interpreter *in, int kind, uint64_t other) {
  static const char *const formats[] = {"iterations %llu and %llu of the parallel loop",
                                        "iterations %llu and %llu of the vector loop", "lanes %llu and %llu"};
  const uint64_t base = in->watches[kind].base + 1;
  phrase words = {"two blocks of the grid"};
  if (kind != RETC_WATCH_TASK || in->in_parallel)
    snprintf(words.text, sizeof words.text, formats[kind], (unsigned long long)(other - base),
             (unsigned long long)(in->watches[kind].current - base));
  return words;
}

static retc_status conflict(retc_interpreter *in, const retc_cell *cell, int kind, int64_t element, uint64_t other,
                            const char *what) {
  return retc_interpreter_fail(in, "%s are not independent: %s is %s%s", describe_turns(in, kind, other).text,
                               describe(cell, element).text, what,
                               kind == RETC_WATCH_LANE ? ", without a barrier between" : "");
}

static retc_status touch_read(retc_interpreter *in, const retc_cell *cell, unsigned watched, int64_t element) {
  for (int kind = 0; kind < RETC_WATCH_COUNT; kind++) {
    if (!(watched & 1u << kind)) continue;
    const retc_watch *watch = &in->watches[kind];
    retc_stamp *stamp = &cell->stamps[kind][element];
    if (collides(watch, stamp->writer))
      return conflict(in, cell, kind, element, stamp->writer, "written by the one and read by the other");
    if (stamp->reader <= watch->base) stamp->reader = watch->current;
    else if (stamp->reader != watch->current) stamp->other = watch->current;
  }
  return RETC_OK;
}

static retc_status touch_write(retc_interpreter *in, const retc_cell *cell, unsigned watched, int64_t element) {
  for (int kind = 0; kind < RETC_WATCH_COUNT; kind++) {
    if (!(watched & 1u << kind)) continue;
    const retc_watch *watch = &in->watches[kind];
    retc_stamp *stamp = &cell->stamps[kind][element];
    if (collides(watch, stamp->writer)) return conflict(in, cell, kind, element, stamp->writer, "written by both");
    uint64_t reader = collides(watch, stamp->reader) ? stamp->reader : stamp->other;
    if (collides(watch, reader))
      return conflict(in, cell, kind, element, reader, "read by the one and written by the other");
    stamp->writer = watch->current;
  }
  return RETC_OK;
}

/* ---- elements ---- */

static retc_status check_index(retc_interpreter *in, const retc_cell *cell, int axis, int64_t index, int64_t count) {
  if (index >= 0 && count <= cell->extent[axis] && index <= cell->extent[axis] - count) return RETC_OK;
  if (count == 1)
    return retc_interpreter_fail(in, "index %" PRId64 " on axis %d of %s is out of bounds: the extent is %" PRId64,
                                 index, axis, cell->buffer->name, cell->extent[axis]);
  return retc_interpreter_fail(
      in, "indices %" PRId64 " to %" PRId64 " on axis %d of %s are out of bounds: the extent is %" PRId64, index,
      index + count - 1, axis, cell->buffer->name, cell->extent[axis]);
}

static retc_status find(retc_interpreter *in, const retc_place *place, int64_t *out_element) {
  const retc_cell *cell = place->cell;
  int64_t element = 0;
  for (int axis = 0; axis < cell->buffer->shape.rank; axis++) {
    int64_t index = in->slots[place->indices[axis]].i64;
    if ((uint64_t)index >= (uint64_t)cell->extent[axis]) return check_index(in, cell, axis, index, 1);
    element = element * cell->extent[axis] + index;
  }
  *out_element = element;
  return RETC_OK;
}

static const char *writer_name(const retc_kernel_memory *memory, uint32_t id) {
  return memory->names && memory->names[id] ? memory->names[id] : "another buffer";
}

static bool is_defined(const retc_cell *cell, int64_t first, int64_t count) {
  if (!cell->parameter) {
    uint8_t all = 1;
    for (int64_t i = 0; i < count; i++) all &= cell->defined[first + i];
    return all;
  }
  if (!cell->parameter->writer) return true;
  const uint32_t *writer = cell->parameter->writer + first * cell->size, id = cell->parameter->id;
  uint32_t difference = 0;
  for (int64_t i = 0; i < count * cell->size; i++) difference |= writer[i] ^ id;
  return difference == 0;
}

/* Of elements `first` on, the first that is not defined, is named. */
static retc_status undefined(retc_interpreter *in, const retc_cell *cell, int64_t first) {
  while (is_defined(cell, first, 1)) first++;
  const retc_kernel_memory *memory = cell->parameter;
  for (int64_t i = 0; memory && i < cell->size; i++) {
    uint32_t writer = memory->writer[first * cell->size + i];
    if (!writer || writer == memory->id) continue;
    return retc_interpreter_fail(in, "%s is read as %s, but was written last as %s", describe(cell, first).text,
                                 writer_name(memory, memory->id), writer_name(memory, writer));
  }
  return retc_interpreter_fail(in, "%s is read before it is written", describe(cell, first).text);
}

#define READ(type, name) \
  type name; \
  memcpy(&name, at, sizeof name)

retc_status retc_interpreter_load(retc_interpreter *in, const retc_place *place, retc_scalar *out_value) {
  int64_t element = 0;
  RETC_TRY(find(in, place, &element));
  const retc_cell *cell = place->cell;
  if (!is_defined(cell, element, 1)) return undefined(in, cell, element);
  if (place->watch) RETC_TRY(touch_read(in, cell, place->watch, element));
  const char *at = cell->data + element * cell->size;
  switch (cell->buffer->dtype) {
    case RETC_DTYPE_F32: { READ(float, value); out_value->f32 = value; break; }
    case RETC_DTYPE_F64: { READ(double, value); out_value->f64 = value; break; }
    case RETC_DTYPE_I64: { READ(int64_t, value); out_value->i64 = value; break; }
    case RETC_DTYPE_I32: { READ(int32_t, value); out_value->i64 = value; break; }
    case RETC_DTYPE_I8:
    case RETC_DTYPE_I4: { READ(int8_t, value); out_value->i64 = value; break; }
    case RETC_DTYPE_U8:
    case RETC_DTYPE_U4X2: { READ(uint8_t, value); out_value->i64 = value; break; }
    case RETC_DTYPE_BF16: { READ(uint16_t, bits); out_value->f32 = retc_bf16_to_f32(bits); break; }
    case RETC_DTYPE_F16: { READ(uint16_t, bits); out_value->f32 = retc_f16_to_f32(bits); break; }
    default: { READ(uint8_t, value); out_value->i64 = value != 0; break; }
  }
  return RETC_OK;
}

#define WRITE(type, value) \
  do { \
    type item = (value); \
    memcpy(at, &item, sizeof item); \
  } while (0)

retc_status retc_interpreter_store(retc_interpreter *in, const retc_place *place, retc_scalar value) {
  int64_t element = 0;
  RETC_TRY(find(in, place, &element));
  const retc_cell *cell = place->cell;
  if (place->watch) RETC_TRY(touch_write(in, cell, place->watch, element));
  char *at = cell->data + element * cell->size;
  switch (cell->buffer->dtype) {
    case RETC_DTYPE_F32: WRITE(float, value.f32); break;
    case RETC_DTYPE_F64: WRITE(double, value.f64); break;
    case RETC_DTYPE_I64: WRITE(int64_t, value.i64); break;
    case RETC_DTYPE_I32: WRITE(uint32_t, (uint32_t)value.i64); break;
    case RETC_DTYPE_I8:
    case RETC_DTYPE_I4:
    case RETC_DTYPE_U8:
    case RETC_DTYPE_U4X2: WRITE(uint8_t, (uint8_t)value.i64); break;
    case RETC_DTYPE_BF16: WRITE(uint16_t, retc_f32_to_bf16(value.f32)); break;
    case RETC_DTYPE_F16: WRITE(uint16_t, retc_f32_to_f16(value.f32)); break;
    default: WRITE(uint8_t, value.i64 != 0); break;
  }
  if (!cell->parameter) {
    cell->defined[element] = 1;
  } else if (cell->parameter->writer) {
    uint32_t *writer = cell->parameter->writer + element * cell->size;
    for (int64_t i = 0; i < cell->size; i++) writer[i] = cell->parameter->id;
  }
  return RETC_OK;
}

/* ---- views ---- */

static retc_status check_row(retc_interpreter *in, const retc_place *place, int64_t first, int64_t step,
                             int64_t count) {
  const retc_cell *cell = place->cell;
  if (step == 1) {
    if (!is_defined(cell, first, count)) return undefined(in, cell, first);
  } else {
    for (int64_t i = 0; i < count; i++) {
      if (!is_defined(cell, first + i * step, 1)) return undefined(in, cell, first + i * step);
    }
  }
  for (int64_t i = 0; place->watch && i < count; i++) {
    RETC_TRY(touch_read(in, cell, place->watch, first + i * step));
  }
  return RETC_OK;
}

static retc_status check_rows(retc_interpreter *in, const retc_place *place, const retc_span *span, int64_t rows,
                              int64_t columns) {
  for (int64_t row = 0; row < rows; row++) {
    RETC_TRY(check_row(in, place, span->first + row * span->row, span->column, columns));
  }
  return RETC_OK;
}

retc_status retc_interpreter_open_rows(retc_interpreter *in, const retc_place *place, int64_t rows, int64_t columns,
                                       retc_span *out_span) {
  const retc_cell *cell = place->cell;
  const int last = cell->buffer->shape.rank - 1;
  int64_t row = 0, there = 1;
  for (int axis = 0; axis <= last; axis++) {
    int64_t index = in->slots[place->indices[axis]].i64;
    RETC_TRY(check_index(in, cell, axis, index, axis == last ? columns : 1));
    if (axis == last) continue;
    row = row * cell->extent[axis] + index;
    there *= cell->extent[axis];
  }
  if (rows > there - row)
    return retc_interpreter_fail(in, "%" PRId64 " rows of %s from row %" PRId64 " on, which has %" PRId64, rows,
                                 cell->buffer->name, row, there);
  *out_span = (retc_span){cell, row * cell->extent[last] + in->slots[place->indices[last]].i64, cell->extent[last], 1};
  return check_rows(in, place, out_span, rows, columns);
}

retc_status retc_interpreter_open_view(retc_interpreter *in, const retc_place *place, const retc_view *view,
                                       int64_t rows, int64_t columns, retc_span *out_span) {
  const retc_cell *cell = place->cell;
  *out_span = (retc_span){cell, 0, cell->stride[view->row_axis], cell->stride[view->column_axis]};
  for (int axis = 0; axis < cell->buffer->shape.rank; axis++) {
    int64_t index = in->slots[place->indices[axis]].i64;
    int64_t count = axis == view->row_axis ? rows : axis == view->column_axis ? columns : 1;
    RETC_TRY(check_index(in, cell, axis, index, count));
    out_span->first += index * cell->stride[axis];
  }
  return check_rows(in, place, out_span, rows, columns);
}

retc_status retc_interpreter_write_view(retc_interpreter *in, const retc_place *place, const retc_span *span,
                                        int64_t rows, int64_t columns) {
  for (int64_t i = 0; place->watch && i < rows * columns; i++) {
    const int64_t element = span->first + i / columns * span->row + i % columns * span->column;
    RETC_TRY(touch_write(in, span->cell, place->watch, element));
  }
  return RETC_OK;
}
