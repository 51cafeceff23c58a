#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "compiler/main/verify.h"

static const char *const form_names[] = {
    [RETC_FORM_SESSION] = "session",
    [RETC_FORM_PARALLEL] = "parallel",
    [RETC_FORM_RECURRENT] = "recurrent",
    [RETC_FORM_CHUNKWISE] = "chunkwise",
};

enum { FAILURES_NAMED = 16 };

static bool holds(const retc_verify_check *check) {
  return isfinite(check->value) && check->value <= check->limit;
}

static const char *engine_name(const retc_verify_check *check) {
  return retc_engine_kind_name(check->engine);
}

static retc_status print(retc_text *text, retc_diagnostics *diagnostics) {
  retc_status status = retc_output_write(text->data, text->length, diagnostics);
  retc_text_deinit(text);
  return status;
}

int64_t retc_verify_parameter_count(const retc_source *source) {
  int64_t total = 0;
  for (size_t i = 0; i < retc_checkpoint_count(source->checkpoint); i++) {
    total += retc_checkpoint_at(source->checkpoint, i)->count;
  }
  return total;
}

retc_status retc_verify_begin(const retc_verify *verify, retc_diagnostics *diagnostics) {
  if (verify->json) return RETC_OK;
  retc_text text;
  retc_text_init(&text);
  retc_text_printf(&text, "model   %s, %s, %lld parameters\n", verify->source->path, verify->source->network.dialect,
                   (long long)retc_verify_parameter_count(verify->source));
  for (size_t i = 0; i < verify->inputs.count; i++) {
    const retc_verify_input *input = &verify->inputs.items[i];
    retc_text_printf(&text, "tokens  %s: %lld x %lld, %s\n", input->name, (long long)input->batch,
                     (long long)input->length, input->origin);
  }
  retc_text_printf(&text, "\n%-9s %6s %-6s %-6s %-46s %9s %9s\n", "form", "chunk", "engine", "tokens",
                   "what is compared", "value", "limit");
  return print(&text, diagnostics);
}

retc_status retc_verify_add(retc_verify *verify, const retc_verify_check *check, retc_diagnostics *diagnostics) {
  RETC_VEC_PUSH(&verify->arena, verify->checks, *check);
  if (verify->json) return RETC_OK;
  char limit[32] = "-";
  if (isfinite(check->limit)) snprintf(limit, sizeof limit, "%.2g", check->limit);
  retc_text text;
  retc_text_init(&text);
  retc_text_printf(&text, "%-9s %6lld %-6s %-6s %-46s %9.2g %9s %s\n", form_names[check->form],
                   (long long)check->chunk, engine_name(check), check->input, check->what, check->value, limit,
                   holds(check) ? "ok" : "FAILED");
  return print(&text, diagnostics);
}

static bool same_place(const retc_verify_check *a, const retc_verify_check *b) {
  return a->form == b->form && a->chunk == b->chunk && a->engine == b->engine;
}

/* What failed, with form and engine, the first of each; empty when nothing did. */
static void add_failures(const retc_verify *verify, retc_text *out_text) {
  const retc_verify_check *last = NULL;
  size_t failures = 0;
  for (size_t i = 0; i < verify->checks.count; i++) {
    const retc_verify_check *check = &verify->checks.items[i];
    if (holds(check) || (last && same_place(last, check))) continue;
    last = check;
    if (++failures > FAILURES_NAMED) continue;
    retc_text_printf(out_text, "%s%s (chunk %lld), %s: %s: %.2g", failures > 1 ? "; " : "", form_names[check->form],
                     (long long)check->chunk, engine_name(check), check->what, check->value);
  }
  if (failures > FAILURES_NAMED) retc_text_printf(out_text, "; and %zu more", failures - FAILURES_NAMED);
}

/* JSON has no word for what is not finite. */
static json_t *number(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}

static json_t *check_json(const retc_verify_check *check) {
  return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:b}", "name", check->what, "tokens", check->input, "form",
                   form_names[check->form], "engine", engine_name(check), "chunk", (json_int_t)check->chunk, "value",
                   number(check->value), "limit", number(check->limit), "ok", (int)holds(check));
}

static retc_status print_json(const retc_verify *verify, const char *failures, retc_diagnostics *diagnostics) {
  json_t *tokens = json_array(), *checks = json_array();
  for (size_t i = 0; i < verify->inputs.count; i++) {
    const retc_verify_input *input = &verify->inputs.items[i];
    json_array_append_new(tokens, json_pack("{s:s, s:s, s:I, s:I}", "name", input->name, "origin", input->origin,
                                            "rows", (json_int_t)input->batch, "length", (json_int_t)input->length));
  }
  for (size_t i = 0; i < verify->checks.count; i++) {
    json_array_append_new(checks, check_json(&verify->checks.items[i]));
  }
  json_t *root = json_pack("{s:s, s:s, s:I, s:o, s:o, s:b, s:s*}", "model", verify->source->path,
                           "dialect", verify->source->network.dialect, "parameters",
                           (json_int_t)retc_verify_parameter_count(verify->source), "tokens", tokens, "checks", checks,
                           "verified", !*failures, "failed", *failures ? failures : NULL);
  char *dump = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) : NULL;
  json_decref(root);
  if (!dump) return retc_fail(diagnostics, RETC_FAILED, "%s: no report could be made", verify->source->path);
  retc_text text;
  retc_text_init(&text);
  retc_text_printf(&text, "%s\n", dump);
  free(dump);
  return print(&text, diagnostics);
}

retc_status retc_verify_end(const retc_verify *verify, retc_diagnostics *diagnostics) {
  retc_text failures, line;
  retc_text_init(&failures);
  retc_text_init(&line);
  add_failures(verify, &failures);
  bool failed = failures.length > 0;
  retc_status status;
  if (verify->json) {
    status = print_json(verify, failed ? failures.data : "", diagnostics);
  } else {
    retc_text_printf(&line, failed ? "\nnot verified: %s\n" : "\nverified\n", failed ? failures.data : "");
    status = print(&line, diagnostics);
  }
  retc_text_deinit(&failures);
  if (status != RETC_OK) return status;
  return failed ? RETC_FAILED : RETC_OK;
}
