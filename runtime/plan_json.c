#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#include "runtime/plan.h"

enum { LISTED_ELEMENTS = 4096 }; /* larger constants are described, not listed */

static json_t *words(const char *text) { return text ? json_string(text) : json_null(); }

static json_t *shape_json(const retc_shape *shape) {
  json_t *array = json_array();
  for (int i = 0; i < shape->rank; i++) {
    retc_dim dim = shape->dim[i];
    bool named = retc_dim_is_named(dim);
    json_array_append_new(array, named ? json_string(retc_dim_text((retc_dim_name)~dim)) : json_integer(dim));
  }
  return array;
}

static json_t *number_json(retc_dtype dtype, const void *array, size_t index) {
  if (dtype == RETC_DTYPE_I64) return json_integer(((const int64_t *)array)[index]); /* double holds 53 bits */
  double value = retc_dtype_load(dtype, array, index);
  if (dtype == RETC_DTYPE_BOOL) return json_boolean(value != 0);
  if (dtype == RETC_DTYPE_I32) return json_integer((json_int_t)value);
  if (isfinite(value)) return json_real(value);
  return json_string(isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

static json_t *constant_json(const retc_plan_buffer *buffer) {
  const retc_dims none = {0};
  int64_t count = retc_plan_buffer_elements(buffer, &none);
  if (count > LISTED_ELEMENTS) return json_sprintf("%" PRId64 " numbers", count);
  json_t *array = json_array();
  for (int64_t i = 0; i < count; i++) {
    json_array_append_new(array, number_json(buffer->dtype, buffer->constant, (size_t)i));
  }
  return array;
}

static json_t *buffer_json(const retc_plan_buffer *buffer) {
  json_t *object = json_object();
  json_object_set_new(object, "name", words(buffer->name));
  json_object_set_new(object, "kind", json_string(retc_plan_buffer_kind_name(buffer->kind)));
  json_object_set_new(object, "dtype", json_string(retc_dtype_name(buffer->dtype)));
  json_object_set_new(object, "shape", shape_json(&buffer->shape));
  if (buffer->kind == RETC_PLAN_WEIGHT) {
    json_object_set_new(object, "layout", json_string(retc_weight_layout_name(buffer->layout)));
  }
  if (buffer->limit) json_object_set_new(object, "below", json_integer(buffer->limit));
  if (buffer->kind == RETC_PLAN_SCRATCH || buffer->kind == RETC_PLAN_OUTPUT) {
    json_object_set_new(object, "slot", json_integer(buffer->slot));
  }
  if (buffer->kind == RETC_PLAN_CONSTANT && buffer->constant) {
    json_object_set_new(object, "values", constant_json(buffer));
  }
  return object;
}

static json_t *slot_json(const retc_plan *plan, const retc_plan_slot *slot) {
  json_t *array = json_array();
  for (size_t i = 0; i < slot->buffers.count; i++) {
    json_array_append_new(array, words(plan->buffers.items[slot->buffers.items[i]].name));
  }
  return array;
}

static json_t *numbers_json(const retc_plan_number numbers[3]) {
  json_t *array = json_array();
  for (int i = 0; i < 3; i++) {
    retc_text text;
    retc_text_init(&text);
    retc_plan_number_print(&numbers[i], &text);
    json_array_append_new(array, words(text.data));
    retc_text_deinit(&text);
  }
  return array;
}

static json_t *kernel_json(const retc_plan_kernel *kernel) {
  const bool launch = retc_plan_kernel_is_launch(kernel);
  const char *separator = "";
  retc_text signature;
  retc_text_init(&signature);
  retc_text_printf(&signature, "void %s(", kernel->name);
  for (int i = 0; i < kernel->buffer_count; i++, separator = ", ") {
    retc_text_printf(&signature, "%svoid *buffer_%d", separator, i);
  }
  for (int i = 0; i < kernel->dim_count; i++, separator = ", ") {
    retc_text_printf(&signature, "%sint64_t %s", separator, retc_dim_text(kernel->dims[i]));
  }
  if (!launch) retc_text_printf(&signature, "%svoid *scratch, int64_t thread, int64_t threads", separator);
  retc_text_add(&signature, ")");
  json_t *object = json_object();
  json_object_set_new(object, "name", words(kernel->name));
  json_object_set_new(object, "signature", words(signature.data));
  if (launch) {
    json_object_set_new(object, "grid", numbers_json(kernel->grid));
    json_object_set_new(object, "block", numbers_json(kernel->block));
    json_object_set_new(object, "shared_bytes", json_integer(kernel->shared_bytes));
    if (kernel->product) json_object_set_new(object, "product", json_true());
  } else {
    json_object_set_new(object, "scratch_bytes", json_integer(kernel->scratch_bytes));
  }
  retc_text_deinit(&signature);
  return object;
}

static json_t *step_json(const retc_plan *plan, const retc_plan_step *step) {
  const retc_plan_kernel *kernel = &plan->kernels.items[step->kernel];
  json_t *object = json_object(), *buffers = json_array();
  for (int i = 0; i < kernel->buffer_count; i++) {
    json_array_append_new(buffers, words(plan->buffers.items[step->buffers[i]].name));
  }
  json_object_set_new(object, "kernel", words(kernel->name));
  json_object_set_new(object, "region", words(step->region));
  json_object_set_new(object, "buffers", buffers);
  return object;
}

static json_t *entry_json(const retc_plan *plan, const retc_plan_entry *entry) {
  json_t *object = json_object(), *steps = json_array();
  for (size_t i = 0; i < entry->steps.count; i++) {
    json_array_append_new(steps, step_json(plan, &entry->steps.items[i]));
  }
  json_object_set_new(object, "name", words(entry->name));
  if (entry->chunk_length) {
    json_object_set_new(object, "chunk_length", json_integer(entry->chunk_length));
    json_object_set_new(object, "grid_start",
                        entry->grid_start < 0 ? json_string("P") : json_integer(entry->grid_start));
  }
  json_object_set_new(object, "steps", steps);
  json_t *outputs = json_object();
  for (size_t i = 0; i < entry->outputs.count; i++) {
    json_object_set_new(outputs, entry->outputs.items[i].name, json_integer(entry->outputs.items[i].buffer));
  }
  json_object_set_new(object, "outputs", outputs);
  return object;
}

static json_t *model_json(const retc_plan *plan) {
  json_t *object = json_object();
  json_object_set_new(object, "vocabulary_size", json_integer(plan->vocabulary_size));
  json_object_set_new(object, "chunk_length", json_integer(plan->chunk_length));
  json_object_set_new(object, "bos_token", plan->bos_token < 0 ? json_null() : json_integer(plan->bos_token));
  json_object_set_new(object, "eos_token", plan->eos_token < 0 ? json_null() : json_integer(plan->eos_token));
  return object;
}

static json_t *plan_json(const retc_plan *plan) {
  json_t *dims = json_object(), *buffers = json_array(), *slots = json_array(), *kernels = json_array();
  json_t *entries = json_array(), *root = json_object();
  for (int i = 0; i < RETC_DIM_COUNT; i++) {
    json_object_set_new(dims, retc_dim_text((retc_dim_name)i), words(retc_dim_meaning((retc_dim_name)i)));
  }
  for (size_t i = 0; i < plan->buffers.count; i++) {
    json_array_append_new(buffers, buffer_json(&plan->buffers.items[i]));
  }
  for (size_t i = 0; i < plan->slots.count; i++) {
    json_array_append_new(slots, slot_json(plan, &plan->slots.items[i]));
  }
  for (size_t i = 0; i < plan->kernels.count; i++) {
    json_array_append_new(kernels, kernel_json(&plan->kernels.items[i]));
  }
  for (size_t i = 0; i < plan->entries.count; i++) {
    json_array_append_new(entries, entry_json(plan, &plan->entries.items[i]));
  }
  json_object_set_new(root, "version", json_integer(RETC_PLAN_VERSION));
  json_object_set_new(root, "model", model_json(plan));
  if (plan->uses_tiles) {
    json_object_set_new(root, "needs",
                        json_string("tiles (AMX), which a program asks Linux for before it calls a kernel: "
                                    "arch_prctl(ARCH_REQ_XCOMP_PERM, 18)"));
  }
  json_object_set_new(root, "dims", dims);
  json_object_set_new(root, "buffers", buffers);
  json_object_set_new(root, "slots", slots);
  json_object_set_new(root, "kernels", kernels);
  json_object_set_new(root, "entries", entries);
  return root;
}

static int append(const char *data, size_t size, void *user) {
  retc_text_append(user, data, size);
  return 0;
}

void retc_plan_print_json(const retc_plan *plan, retc_text *out_text) {
  json_t *root = plan_json(plan);
  json_dump_callback(root, append, out_text, JSON_INDENT(1));
  json_decref(root);
  retc_text_add(out_text, "\n");
}
