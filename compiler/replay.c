#include "compiler/replay.h"

#include <inttypes.h>
#include <stddef.h>

#include "ir/lexer.h"

static const char *const code_stages[] = {[RETC_REPLAY_LLVM] = "llvm", [RETC_REPLAY_HIP] = "hip"};

static const struct size_row {
  const char *name;
  size_t offset; /* in retc_target_profile */
  int64_t low, high;
} sizes[] = {{"vector_bytes", offsetof(retc_target_profile, vector_bytes), 16, 1024},
             {"vector_registers", offsetof(retc_target_profile, vector_registers), 8, 1024},
             {"l1_bytes", offsetof(retc_target_profile, l1_bytes), 4096, INT64_C(1) << 40},
             {"l2_bytes", offsetof(retc_target_profile, l2_bytes), 4096, INT64_C(1) << 40},
             {"cores", offsetof(retc_target_profile, cores), 0, 1 << 16},
             {"wave", offsetof(retc_target_profile, wave), 0, 1024},
             {"shared_bytes", offsetof(retc_target_profile, shared_bytes), 0, INT64_C(1) << 40},
             {"units", offsetof(retc_target_profile, units), 0, 1 << 16}};
enum { SIZE_COUNT = sizeof sizes / sizeof sizes[0] };

retc_status retc_replay_read_run(retc_lexer *lexer, retc_replay *replay) {
  const char *names[RETC_REPLAY_MAX + RETC_REPLAY_CODE_COUNT];
  size_t count = 0, index;
  for (; count < retc_pass_count() && count < RETC_REPLAY_MAX; count++) names[count] = retc_pass_get_info(count)->name;
  size_t code = count;
  for (int i = RETC_REPLAY_LLVM; i < RETC_REPLAY_CODE_COUNT; i++) names[count++] = code_stages[i];
  RETC_TRY(retc_lexer_expect(lexer, '['));
  do {
    const char *start = retc_lexer_place(lexer);
    RETC_TRY(retc_lexer_choose(lexer, "pass", names, count, &index));
    if (replay->code) return retc_lexer_fail(lexer, start, "nothing runs after %s", code_stages[replay->code]);
    if (index >= code) {
      replay->code = (retc_replay_code)(RETC_REPLAY_LLVM + (index - code));
    } else if (replay->pass_count == RETC_REPLAY_MAX) {
      return retc_lexer_fail(lexer, start, "expected at most %d passes", RETC_REPLAY_MAX);
    } else {
      replay->passes[replay->pass_count++] = index;
    }
  } while (retc_lexer_accept(lexer, ','));
  return retc_lexer_expect(lexer, ']');
}

retc_status retc_replay_read_machine(retc_lexer *lexer, retc_replay *replay) {
  RETC_TRY(retc_lexer_expect(lexer, '['));
  for (size_t i = 0; i < SIZE_COUNT; i++) {
    const struct size_row *row = &sizes[i];
    int64_t value;
    if (i) RETC_TRY(retc_lexer_expect(lexer, ','));
    RETC_TRY(retc_lexer_expect_word(lexer, row->name));
    RETC_TRY(retc_lexer_expect(lexer, '='));
    const char *start = retc_lexer_place(lexer);
    RETC_TRY(retc_lexer_read_integer(lexer, &value));
    if (value < row->low || value > row->high) {
      return retc_lexer_fail(lexer, start, "%s is expected to be %" PRId64 " to %" PRId64, row->name, row->low,
                             row->high);
    }
    *(int64_t *)(void *)((char *)&replay->machine + row->offset) = value;
  }
  replay->has_machine = true;
  return retc_lexer_expect(lexer, ']');
}

void retc_replay_print(const retc_replay *replay, retc_text *out_text) {
  const char *before = " run=[";
  for (size_t i = 0; i < replay->pass_count; i++, before = ", ") {
    retc_text_printf(out_text, "%s%s", before, retc_pass_get_info(replay->passes[i])->name);
  }
  if (replay->code) retc_text_printf(out_text, "%s%s", before, code_stages[replay->code]);
  if (replay->code || replay->pass_count) retc_text_add(out_text, "]");
  if (replay->cpu) {
    retc_text_add(out_text, " cpu=");
    retc_word_print(replay->cpu, out_text);
  }
  for (size_t i = 0; replay->has_machine && i < SIZE_COUNT; i++) {
    const int64_t *value = (const void *)((const char *)&replay->machine + sizes[i].offset);
    retc_text_printf(out_text, "%s%s=%" PRId64, i ? ", " : " machine=[", sizes[i].name, *value);
  }
  if (replay->has_machine) retc_text_add(out_text, "]");
}
