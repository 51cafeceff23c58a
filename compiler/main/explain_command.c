#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "compiler/driver/engine.h"
#include "compiler/main/explain.h"
#include "compiler/main/explain_schedule.h"
#include "compiler/main/target.h"
#include "compiler/network_parameters.h"

typedef struct options {
  const char *cpu;
  retc_build_target target;
  retc_arithmetic_words arithmetic;
  int64_t chunk, batch, tokens;
  bool schedule;
} options;

enum { COLUMNS = 3, WIDTH_MAX = 72 };

typedef struct row {
  const char *cell[COLUMNS]; /* what, chosen, source */
} row;

typedef struct table {
  retc_arena arena;
  RETC_VEC(row) rows;
} table;

/* `chosen` is a printf format. */
#define ADD(t, what, source, ...) add_row((t), (what), (source), retc_arena_printf(&(t)->arena, __VA_ARGS__))

static void add_row(table *t, const char *what, const char *source, const char *chosen) {
  const row added = {{what, chosen, source ? source : ""}};
  RETC_VEC_PUSH(&t->arena, t->rows, added);
}

static void add_parameters(table *t, const retc_network *network) {
  const retc_network_parameter *parameters;
  size_t count = retc_network_parameters(network, &t->arena, &parameters);
  int64_t elements = 0;
  for (size_t i = 0; i < count; i++) elements += retc_network_tensor_elements(parameters[i].tensor);
  ADD(t, "parameters", "weight tensors, each once", "%" PRId64, elements);
  ADD(t, "tensors", "", "%zu", count);
}

static void add_decay(table *t, const retc_network *network) {
  for (int64_t h = 0; h < network->heads; h++) {
    const char *what = retc_arena_printf(&t->arena, "decay of head %" PRId64, h);
    double log_decay = network->log_decay[h];
    if (log_decay == 0) {
      ADD(t, what, "half-life in tokens: never", "gamma 1");
    } else {
      const char *half = retc_arena_printf(&t->arena, "half-life in tokens: %.4g", log(0.5) / log_decay);
      ADD(t, what, half, "gamma %.9g", exp(log_decay));
    }
  }
}

/* The notation is that of compiler/network.h. */
static void add_forms(table *t, const retc_network *network, int64_t chunk_length) {
  static const char *const forms[] = {"parallel form", "recurrent form", "chunkwise form"};
  static const char *const plain[] = {"o = r", "o = r", "o = r"};
  static const char *const torchscale[] = {
      "o = r / (sqrt(S_(n+1)) clamp(abs, 1, 50000))",
      "o = r / sqrt(S_(n+1))",
      "o = r / (sqrt(S_(i+1)) max(1, abs, z))",
  };
  bool scaled = network->normaliser == RETC_NORMALISER_TORCHSCALE;
  for (int i = 0; i < 3; i++) {
    add_row(t, forms[i], scaled ? "upstream's normalisers" : "upstream has no normaliser",
            scaled ? torchscale[i] : plain[i]);
  }
  if (scaled) {
    add_row(t, "  r", "", "retention without a normaliser");
    add_row(t, "  S_m", "", "1 + g + ... + g^(m-1); n counts positions, i those of a chunk");
    add_row(t, "  abs", "", "sum of |q.k| g^(i-j) over the row, divided by the same sqrt(S)");
    add_row(t, "  z", "", "largest column sum of |state| at the chunk's start, at least 1");
  }
  ADD(t, "sessions", "prompt and generation alike", "the recurrent form's algebra, %" PRId64 " tokens a chunk",
      chunk_length);
}

static int64_t sum_bytes(int64_t a, int64_t b) { return a > INT64_MAX - b ? INT64_MAX : a + b; }

/* Of one sequence, with the sizes that a session has by default. */
static void add_memory(table *t, const retc_plan *plan) {
  const retc_run_options session = {1, RETC_SESSION_MAX_TOKENS, RETC_SESSION_MAX_LOGITS};
  const retc_run_sizes sizes = retc_run_measure(plan, &session);
  int64_t scratch = sum_bytes(sizes.scratch, sizes.per_thread);
  int64_t total = sum_bytes(sum_bytes(sizes.weights, sizes.states), scratch);
  ADD(t, "state of a sequence", "S, and k and v of the unfinished chunk", "%" PRId64 " bytes", sizes.states);
  ADD(t, "memory: weights", "as packed", "%" PRId64 " bytes", sizes.weights);
  ADD(t, "memory: scratch", "of a session, one thread", "%" PRId64 " bytes", scratch);
  ADD(t, "memory at run time", "weights, state and scratch", "%" PRId64 " bytes", total);
}

static void fill(table *t, const retc_source *source, const retc_plan *plan) {
  const retc_network *network = &source->network;
  for (size_t i = 0; i < network->notes.count; i++) {
    const retc_network_note *note = &network->notes.items[i];
    add_row(t, note->what, note->source, note->chosen);
  }
  add_decay(t, network);
  add_forms(t, network, plan->chunk_length);
  add_parameters(t, network);
  add_memory(t, plan);
  for (size_t i = 0; i < network->ignored.count; i++) {
    add_row(t, "ignored key", "without effect at inference", network->ignored.items[i]);
  }
}

/* A cell that is very long does not push the others away. */
static void print(const table *t, retc_text *out_text) {
  int width[COLUMNS] = {0};
  for (size_t r = 0; r < t->rows.count; r++) {
    for (int c = 0; c < COLUMNS; c++) {
      size_t length = strlen(t->rows.items[r].cell[c]);
      if (length <= WIDTH_MAX && (int)length > width[c]) width[c] = (int)length;
    }
  }
  for (size_t r = 0; r < t->rows.count; r++) {
    const char *const *cell = t->rows.items[r].cell;
    if (*cell[2]) {
      retc_text_printf(out_text, "%-*s  %-*s  %s\n", width[0], cell[0], width[1], cell[1], cell[2]);
    } else {
      retc_text_printf(out_text, "%-*s  %s\n", width[0], cell[0], cell[1]);
    }
  }
}

static retc_status explain(const char *model, const options *o, retc_diagnostics *diagnostics) {
  retc_build build = {.target = o->target, .arithmetic = o->arithmetic};
  table t = {0};
  retc_text text;
  retc_arena_init(&t.arena);
  retc_text_init(&text);
  const char *last = o->schedule ? "schedule" : NULL;
  retc_status status = retc_build_init(&build, model, o->chunk, o->cpu, last, diagnostics);
  if (status == RETC_OK && build.is_hip && o->schedule) {
    status = retc_fail(diagnostics, RETC_INVALID, "explain: --schedule goes with --target cpu");
  } else if (status == RETC_OK && build.is_hip) {
    status = retc_explain_hip(&build, o->batch, o->tokens, diagnostics);
  } else if (status == RETC_OK && (status = retc_source_want_model(build.source, diagnostics)) == RETC_OK) {
    if (o->schedule) {
      retc_explain_schedule(build.compilation, &build.source->network, &text);
    } else {
      fill(&t, build.source, build.compilation->plan);
      print(&t, &text);
    }
    status = retc_output_write(text.data, text.length, diagnostics);
  }
  retc_text_deinit(&text);
  retc_arena_deinit(&t.arena);
  retc_build_deinit(&build);
  return status;
}

retc_status retc_explain_command(int count, char **words, retc_diagnostics *diagnostics) {
  options chosen = {.batch = 1, .tokens = 1};
  const retc_option table_of_options[] = {
      {"chunk", 0, "C", "tokens a chunk of sessions (the model's)", RETC_OPTION_INTEGER, &chosen.chunk, 1,
       RETC_CHUNK_MAX},
      {"target", 0, "cpu|hip", "hip: the kernels instead, and what they take of a GPU (cpu)", RETC_OPTION_TEXT,
       &chosen.target.target, 0, 0},
      {"arch", 0, "LIST", "of --target hip: gfx90a, gfx942, gfx1100, gfx1201, by commas (all)", RETC_OPTION_TEXT,
       &chosen.target.arch, 0, 0},
      {"math", 0, "TYPE",
       "of products with weights: f32, bf16, int8 (what goes with the weights); on GPUs f32, bf16, f16",
       RETC_OPTION_TEXT, &chosen.target.math, 0, 0},
      RETC_BLAS_OPTION(&chosen),
      {"batch", 0, "N", "of --target hip: rows of the call (1)", RETC_OPTION_INTEGER, &chosen.batch, 1, 1 << 20},
      {"tokens", 0, "N", "of --target hip: tokens a row of the call (1)", RETC_OPTION_INTEGER, &chosen.tokens, 1,
       1 << 20},
      RETC_WEIGHTS_OPTION(chosen.arithmetic),
      RETC_CPU_OPTION(chosen.cpu),
      {"schedule", 0, NULL, "what was chosen for each kernel, and why; which chunk length is recommended",
       RETC_OPTION_FLAG, &chosen.schedule, 0, 0},
  };
  const retc_syntax syntax = {"explain",
                              "How the model description was read, and what it takes. A config.json alone will do.",
                              "MODEL", table_of_options, sizeof table_of_options / sizeof table_of_options[0]};
  const char *model;
  bool help;
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, &model, &help));
  return help ? RETC_OK : explain(model, &chosen, diagnostics);
}
