#include "base/number.h"
#include "compiler/main/eval.h"
#include "compiler/main/target.h"
#include "compiler/main/verify.h"

enum {
  LARGE_PARAMETERS = 4000000, /* above it the interpreters see few tokens */
  LARGE_LENGTH = 32,
  GIVEN_LENGTH = 160, /* of a small model's rows of --tokens */
  GIVEN_BATCH = 3,
};

typedef struct options {
  const char *tokens, *cpu;
  retc_build_target target;
  bool gpu;
  int64_t seed, random_weights;
  bool json;
  retc_arithmetic_words arithmetic;
} options;

static retc_status parse(int count, char **words, retc_diagnostics *diagnostics, options *out_options,
                         const char **out_model, bool *out_help) {
  options *o = out_options;
  const retc_option table[] = {
      {"tokens", 0, "FILE", "safetensors with input_ids, I64 [B,T], to run as well", RETC_OPTION_TEXT, &o->tokens, 0,
       0},
      {"seed", 0, "N", "of the random tokens (1)", RETC_OPTION_INTEGER, &o->seed, 0, INT32_MAX},
      RETC_TARGET_OPTIONS(&o->target),
      RETC_WEIGHTS_OPTION(o->arithmetic),
      RETC_CPU_OPTION(o->cpu),
      {"json", 0, NULL, "the report as one JSON object", RETC_OPTION_FLAG, &o->json, 0, 0},
      {"random-weights", 0, "SEED", "of a bare config.json, which has none", RETC_OPTION_INTEGER, &o->random_weights, 0,
       INT32_MAX},
  };
  const retc_syntax syntax = {"verify",
                              "Runs a model in every form, compiled and interpreted, and says whether they agree.",
                              "MODEL", table, sizeof table / sizeof table[0]};
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, out_model, out_help));
  RETC_TRY(retc_target_check(&o->target, o->cpu, diagnostics, &o->gpu));
  o->arithmetic.math = retc_target_program_math(o->target.target, o->target.math, o->arithmetic.weights);
  return RETC_OK;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static retc_verify_input make_random(retc_verify *verify, const char *name, int64_t seed, int64_t batch,
                                     int64_t length) {
  uint64_t state = (uint64_t)seed, vocabulary = (uint64_t)verify->source->network.vocabulary_size;
  int64_t *tokens = RETC_NEW_ARRAY(&verify->arena, int64_t, batch * length);
  for (int64_t i = 0; i < batch * length; i++) tokens[i] = (int64_t)(next_random(&state) % vocabulary);
  const char *origin = retc_arena_printf(&verify->arena, "seed %lld", (long long)seed);
  return (retc_verify_input){name, origin, tokens, batch, length, length, NULL};
}

/* The first rows and tokens of `path`, as many as the interpreter is fast enough for. */
static retc_verify_input take_given(const char *path, const retc_eval_input *given, bool large) {
  return (retc_verify_input){.name = "given",
                             .origin = path,
                             .tokens = given->ids,
                             .batch = retc_smaller(given->batch, large ? 1 : GIVEN_BATCH),
                             .length = retc_smaller(given->length, large ? LARGE_LENGTH : GIVEN_LENGTH),
                             .stride = given->length,
                             .padding = given->padding};
}

typedef retc_status verify_group(retc_verify *verify, const retc_verify_group *group, retc_diagnostics *diagnostics);

/* On `first` and, unless it is empty, `given`: in one group where one engine can run both. */
static retc_status verify_inputs(retc_verify *verify, verify_group *run, const retc_verify_input *first,
                                 const retc_verify_input *given, retc_diagnostics *diagnostics) {
  const retc_verify_group alone = {{*first}, 1}, given_alone = {{*given}, 1}, both = {{*first, *given}, 2};
  if (given->tokens && !given->padding) return run(verify, &both, diagnostics);
  RETC_TRY(run(verify, &alone, diagnostics));
  return given->tokens ? run(verify, &given_alone, diagnostics) : RETC_OK;
}

retc_verify_input retc_verify_shorten(const retc_verify_input *input) {
  retc_verify_input result = *input;
  result.name = "short";
  result.batch = 1;
  result.length = retc_smaller(input->length, RETC_VERIFY_SHORT);
  return result;
}

static void add_short(retc_verify *verify, const retc_verify_input *from) {
  retc_verify_input brief = retc_verify_shorten(from);
  brief.origin = retc_arena_printf(&verify->arena, "the first of %s", from->name);
  RETC_VEC_PUSH(&verify->arena, verify->inputs, brief);
}

/* Random tokens, those of a file, and longer random ones for what is only compiled. */
static retc_status verify_source(retc_verify *verify, const options *o, const retc_eval_input *file,
                                 retc_diagnostics *diagnostics) {
  bool large = verify->large = retc_verify_parameter_count(verify->source) > LARGE_PARAMETERS;
  retc_verify_input random = make_random(verify, "random", o->seed, large ? 2 : 3, large ? LARGE_LENGTH : 80);
  retc_verify_input longer = make_random(verify, "longer", o->seed + 1, large ? 2 : 3, large ? 80 : 200);
  retc_verify_input given = {0};
  RETC_VEC_PUSH(&verify->arena, verify->inputs, random);
  if (large) add_short(verify, &random);
  if (file->ids) {
    given = take_given(o->tokens, file, large);
    RETC_VEC_PUSH(&verify->arena, verify->inputs, given);
    if (large && given.padding) add_short(verify, &given);
  }
  RETC_VEC_PUSH(&verify->arena, verify->inputs, longer);
  RETC_TRY(retc_verify_begin(verify, diagnostics));
  RETC_TRY(retc_verify_passes(verify, diagnostics));
  RETC_TRY(verify_inputs(verify, retc_verify_forms, &random, &given, diagnostics));
  RETC_TRY(verify_inputs(verify, retc_verify_bits, &longer, &given, diagnostics));
  return retc_verify_end(verify, diagnostics);
}

static retc_status verify_model(const retc_source *source, const options *o, retc_diagnostics *diagnostics) {
  if (!source->checkpoint) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "%s: has no weights, expected a directory with config.json and *.safetensors", source->path);
  }
  retc_eval_input given = {0};
  if (o->tokens) {
    RETC_TRY(retc_eval_input_read(o->tokens, source->network.vocabulary_size, false, diagnostics, &given));
  }
  retc_verify verify = {.source = source,
                        .gpu = o->gpu,
                        .math = retc_target_math(o->target.target, o->target.math),
                        .archs = o->target.arch,
                        .cpu = o->cpu,
                        .json = o->json};
  retc_arena_init(&verify.arena);
  retc_status status = verify_source(&verify, o, &given, diagnostics);
  retc_arena_deinit(&verify.arena);
  retc_eval_input_deinit(&given);
  return status;
}

retc_status retc_verify_command(int count, char **words, retc_diagnostics *diagnostics) {
  options chosen = {.seed = 1, .random_weights = -1};
  const char *model;
  bool help;
  RETC_TRY(parse(count, words, diagnostics, &chosen, &model, &help));
  if (help) return RETC_OK;
  retc_source *source;
  RETC_TRY(retc_source_open_random(model, chosen.random_weights, diagnostics, &source));
  retc_status status = retc_source_choose(source, &chosen.arithmetic, diagnostics);
  if (status == RETC_OK) status = verify_model(source, &chosen, diagnostics);
  retc_source_destroy(source);
  return status;
}
