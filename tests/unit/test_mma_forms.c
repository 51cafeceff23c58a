/* Packed products: compiled code gives the bits of the interpreter, in every form, by dot instructions, by tiles (AMX)
 * and without either. Tiles are the definition's test, too: ir/kernel_eval_mma.c adds up as the manual says that they
 * do. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/llvm/llvm_backend.h"
#include "ir/kernel_eval.h"
#include "runtime/tiles.h"

enum { ROWS = 40, COLUMNS = 80, DEPTH = 192, SHAPES = 6 };

/* The order of the magnitudes of what is multiplied. */
typedef enum range { NEAR_ONE, SUBNORMAL_PRODUCTS, LARGE_PRODUCTS, ANY_BITS } range;

static uint64_t seed = 88172645463325252u;
static uint32_t next(void) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (uint32_t)(seed >> 16);
}
static int64_t pick(int64_t low, int64_t high) { return low + next() % (high - low + 1); }

static uint16_t number(range r) {
  const uint32_t bits = next(), sign_and_mantissa = bits & 0x807f, step = bits >> 16;
  switch (r) {
    case NEAR_ONE: return (uint16_t)(sign_and_mantissa | (120 + step % 12) << 7);
    case SUBNORMAL_PRODUCTS:
      return (uint16_t)(step % 16 ? sign_and_mantissa | (58 + step % 10) << 7 : sign_and_mantissa);
    case LARGE_PRODUCTS: return (uint16_t)(sign_and_mantissa | (180 + step % 20) << 7);
    default: return (uint16_t)bits;
  }
}

/* z = c + a b, with every matrix in the middle of a larger one. */
typedef struct product {
  retc_mma_form form;
  retc_dtype b_dtype;
  int64_t rows, columns, depth;
  uint16_t left[(ROWS + 1) * (DEPTH + 2)], right[(DEPTH + 16) * (COLUMNS + 2)];
  uint32_t start[(ROWS + 1) * (COLUMNS + 1)], found[2][ROWS * COLUMNS];
} product;

static retc_kernel *write_kernel(const product *p) {
  const bool integers = p->form == RETC_MMA_INTEGERS;
  const retc_dtype sums = integers ? RETC_DTYPE_I32 : RETC_DTYPE_F32;
  const int64_t pack = retc_mma_pack(p->form, p->b_dtype), together = pack > 4 ? 4 : pack;
  retc_kernel *kernel = retc_kernel_create("probe");
  retc_writer w;
  retc_writer_init(&w, kernel);
  const retc_shape a_shape = {2, {p->rows + 1, p->depth + 2}}, c_shape = {2, {p->rows + 1, p->columns + 1}};
  const retc_shape b_shape = {3, {p->depth / pack + 2, p->columns + 2, together}}, z_shape = {2, {p->rows, p->columns}};
  const retc_buffer_id a =
      retc_write_parameter(&w, "a", integers ? RETC_DTYPE_I8 : RETC_DTYPE_BF16, &a_shape, RETC_ACCESS_READ);
  const retc_buffer_id b = retc_write_parameter(&w, "b", p->b_dtype, &b_shape, RETC_ACCESS_READ);
  const retc_buffer_id x = retc_write_parameter(&w, "x", sums, &c_shape, RETC_ACCESS_READ);
  const retc_buffer_id z = retc_write_parameter(&w, "z", sums, &z_shape, RETC_ACCESS_WRITE);
  const retc_buffer_id c = retc_write_alloc(&w, "c", RETC_SCOPE_PRIVATE, sums, 2, c_shape.dim);
  const retc_expr zero = retc_expr_integer(kernel, 0), one = retc_expr_integer(kernel, 1);
  retc_expr at[2];
  at[0] = retc_write_for(&w, "i", RETC_LOOP_SERIAL, zero, retc_expr_integer(kernel, p->rows + 1), 1);
  at[1] = retc_write_for(&w, "l", RETC_LOOP_VECTOR, zero, retc_expr_integer(kernel, p->columns + 1), 1);
  retc_write_store(&w, c, at, retc_expr_load(kernel, x, at));
  retc_write_end(&w);
  retc_write_end(&w);
  const retc_expr from[3] = {one, one, zero};
  retc_write_mma_form(&w, p->form, retc_write_view(&w, c, from, 0, 1), retc_write_view(&w, a, from, 0, 1),
                      retc_write_view(&w, b, from, 0, 1), p->rows, p->columns, retc_expr_integer(kernel, p->depth));
  at[0] = retc_write_for(&w, "i", RETC_LOOP_SERIAL, zero, retc_expr_integer(kernel, p->rows), 1);
  at[1] = retc_write_for(&w, "l", RETC_LOOP_VECTOR, zero, retc_expr_integer(kernel, p->columns), 1);
  retc_expr within[2];
  for (int i = 0; i < 2; i++) within[i] = retc_expr_binary(kernel, RETC_KERNEL_OP_ADD, at[i], one);
  retc_write_store(&w, z, at, retc_expr_load(kernel, c, within));
  retc_write_end(&w);
  retc_write_end(&w);
  return kernel;
}

static void fill(product *p, range r) {
  const size_t lefts = sizeof p->left / 2, rights = sizeof p->right / 2, sums = sizeof p->start / 4;
  const bool integers = p->form == RETC_MMA_INTEGERS;
  for (size_t i = 0; i < lefts; i++) p->left[i] = integers ? (uint16_t)next() : number(r);
  for (size_t i = 0; i < rights; i++) p->right[i] = integers ? (uint16_t)next() : number(r);
  for (size_t i = 0; i < sums; i++) {
    const float near = retc_bf16_to_f32(number(r)) * retc_bf16_to_f32(number(r)) * (1 + (float)pick(0, 1000) / 8192);
    if (integers || r == ANY_BITS) p->start[i] = next();
    else memcpy(&p->start[i], &near, sizeof near);
  }
}

static void interpret(product *p, const retc_kernel *kernel, uint32_t *z) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  const retc_kernel_memory memories[4] = {{.data = p->left, .bytes = sizeof p->left},
                                          {.data = p->right, .bytes = sizeof p->right},
                                          {.data = p->start, .bytes = sizeof p->start},
                                          {.data = z, .bytes = sizeof p->found[0]}};
  const retc_dims none = {{0}};
  retc_status status = retc_kernel_eval(kernel, &none, memories, 4, &diagnostics);
  assert_string_equal(retc_diagnostics_text(&diagnostics), "");
  assert_int_equal(status, RETC_OK);
  retc_diagnostics_deinit(&diagnostics);
}

static retc_executable *compile(const retc_kernel *kernel, const char *cpu) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_executable *executable = NULL;
  retc_llvm_module *module = NULL;
  retc_status status = retc_llvm_compile(&kernel, 1, &(retc_llvm_options){.cpu = cpu}, &diagnostics, &module);
  if (status == RETC_OK) status = retc_llvm_load(module, &diagnostics, &executable);
  assert_string_equal(retc_diagnostics_text(&diagnostics), "");
  assert_int_equal(status, RETC_OK);
  retc_llvm_module_destroy(module);
  retc_diagnostics_deinit(&diagnostics);
  return executable;
}

typedef void (*function)(void *a, void *b, void *x, void *z, void *scratch, int64_t thread, int64_t threads);

static void run(product *p, const retc_kernel *kernel, retc_executable *executable, uint32_t *z) {
  union {
    void *address;
    function call;
  } code = {.address = executable->find(executable, "probe")};
  void *scratch = aligned_alloc(64, (size_t)retc_kernel_signature(kernel).scratch_bytes);
  code.call(p->left, p->right, p->start, z, scratch, 0, 1);
  free(scratch);
}

static bool is_same(retc_mma_form form, uint32_t a, uint32_t b) {
  float x, y;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  return a == b || (form != RETC_MMA_INTEGERS && isnan(x) && isnan(y));
}

/* Sizes of the CPU's registers and ones that are not. */
static void choose_sizes(product *p) {
  const int64_t step = retc_mma_step(p->form, p->b_dtype);
  p->rows = pick(0, 3) ? pick(1, ROWS) : 16 * pick(1, 2);
  p->columns = pick(0, 1) ? pick(1, COLUMNS) : 16 * pick(1, 5);
  p->depth = pick(0, 2) ? step * pick(0, DEPTH / step) : 64 * pick(1, 3);
}

static void check_results(const product *p, const char *cpu, range r) {
  for (int64_t i = 0; i < p->rows * p->columns; i++) {
    if (is_same(p->form, p->found[0][i], p->found[1][i])) continue;
    fail_msg("%s, %s, range %d, rows %d, columns %d, depth %d: element %d is %08x, interpreted %08x",
             retc_mma_form_name(p->form), cpu ? cpu : "host", (int)r, (int)p->rows, (int)p->columns, (int)p->depth,
             (int)i, p->found[1][i], p->found[0][i]);
  }
}

static void check_form(retc_mma_form form, retc_dtype b_dtype, const char *cpu, range most) {
  static product p;
  for (int s = 0; s < SHAPES; s++) {
    p.form = form;
    p.b_dtype = b_dtype;
    choose_sizes(&p);
    retc_kernel *kernel = write_kernel(&p);
    retc_executable *executable = compile(kernel, cpu);
    for (int r = 0; r <= (int)most; r++) {
      fill(&p, (range)r);
      interpret(&p, kernel, p.found[0]);
      run(&p, kernel, executable, p.found[1]);
      check_results(&p, cpu, (range)r);
    }
    executable->destroy(executable);
    retc_kernel_destroy(kernel);
  }
}

static retc_target_profile profile_of(const char *cpu) {
  retc_diagnostics diagnostics;
  retc_target_profile profile;
  retc_diagnostics_init(&diagnostics);
  assert_int_equal(retc_llvm_profile(&(retc_llvm_options){.cpu = cpu}, &diagnostics, &profile), RETC_OK);
  retc_diagnostics_deinit(&diagnostics);
  return profile;
}

#ifdef __x86_64__
static const bool has_v2 = true;
static bool has_v3(void) { return __builtin_cpu_supports("x86-64-v3"); }
#else
static const bool has_v2 = false;
static bool has_v3(void) { return false; }
#endif

static void test_integers(void **state) {
  (void)state;
  const retc_dtype dtypes[] = {RETC_DTYPE_U8, RETC_DTYPE_U4X2};
  for (int d = 0; d < 2; d++) {
    check_form(RETC_MMA_INTEGERS, dtypes[d], NULL, NEAR_ONE);
    check_form(RETC_MMA_INTEGERS, dtypes[d], "host,no-tiles", NEAR_ONE);
    if (has_v2) check_form(RETC_MMA_INTEGERS, dtypes[d], "x86-64-v2", NEAR_ONE);
    if (has_v3()) check_form(RETC_MMA_INTEGERS, dtypes[d], "x86-64-v3", NEAR_ONE);
  }
}

/* Without an instruction for it subnormal numbers may be kept. */
static void test_pairs(void **state) {
  (void)state;
  check_form(RETC_MMA_PAIRS, RETC_DTYPE_BF16, NULL, profile_of(NULL).has_dot_bf16 ? ANY_BITS : NEAR_ONE);
  check_form(RETC_MMA_PAIRS, RETC_DTYPE_BF16, "host,no-tiles", profile_of(NULL).has_dot_bf16 ? ANY_BITS : NEAR_ONE);
  if (has_v2) check_form(RETC_MMA_PAIRS, RETC_DTYPE_BF16, "x86-64-v2", NEAR_ONE);
  if (has_v3()) check_form(RETC_MMA_PAIRS, RETC_DTYPE_BF16, "x86-64-v3", NEAR_ONE);
}

static void test_tiles(void **state) {
  (void)state;
  if (!profile_of(NULL).has_tiles) {
    print_message("this CPU has no tiles, or the system does not permit them: not tested\n");
    skip();
  }
  check_form(RETC_MMA_TILES, RETC_DTYPE_BF16, NULL, ANY_BITS);
}

/* Code for a CPU with tiles can be made anywhere; where there are none a kernel that has them is refused. */
static void test_without_tiles(void **state) {
  (void)state;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  const product p = {.form = RETC_MMA_TILES, .b_dtype = RETC_DTYPE_BF16, .rows = 20, .columns = 64, .depth = 64};
  retc_kernel *kernel = write_kernel(&p);
  const retc_kernel *kernels[1] = {kernel};
  retc_llvm_module *module = NULL;
  const retc_llvm_options none = {.cpu = "host,no-tiles"};
  assert_int_equal(retc_llvm_compile(kernels, 1, &none, &diagnostics, &module), RETC_INVALID);
  assert_non_null(strstr(retc_diagnostics_text(&diagnostics), "kernel probe: multiplies bf16 by tiles (AMX), which "));
#ifdef __x86_64__
  assert_true(profile_of("sapphirerapids").has_tiles);
  assert_false(profile_of("sapphirerapids,no-tiles").has_tiles);
  retc_text text;
  retc_text_init(&text);
  assert_int_equal(retc_llvm_compile(kernels, 1, &(retc_llvm_options){.cpu = "sapphirerapids"}, &diagnostics, &module),
                   RETC_OK);
  assert_int_equal(retc_llvm_emit_assembly(module, &diagnostics, &text), RETC_OK);
  assert_non_null(strstr(text.data, "tdpbf16ps"));
  assert_non_null(strstr(text.data, "tilerelease"));
  retc_text_deinit(&text);
  retc_llvm_module_destroy(module);
#endif
  retc_kernel_destroy(kernel);
  retc_diagnostics_deinit(&diagnostics);
}

/* In a process of its own: the system refuses tiles to a thread whose stack for signals is too small for them. */
static int try_refused(void) {
  static char small[6144];
  const stack_t stack = {.ss_sp = small, .ss_size = sizeof small};
  if (sigaltstack(&stack, NULL) || retc_tiles_permit()) return 2;
  if (profile_of(NULL).has_tiles) return 3;
  const product p = {.form = RETC_MMA_PAIRS, .b_dtype = RETC_DTYPE_BF16, .rows = 1, .columns = 64, .depth = 64};
  retc_kernel *kernel = write_kernel(&p);
  const retc_kernel *kernels[1] = {kernel};
  retc_diagnostics diagnostics;
  retc_executable *executable = NULL;
  retc_diagnostics_init(&diagnostics);
  retc_status status =
      retc_llvm_build(kernels, 1, &(retc_llvm_options){.cpu = "sapphirerapids"}, &diagnostics, &executable);
  const char *expected = "code for CPU 'sapphirerapids' ";
  bool is_clear = status == RETC_INVALID && strstr(retc_diagnostics_text(&diagnostics), expected) != NULL;
  retc_diagnostics_deinit(&diagnostics);
  retc_kernel_destroy(kernel);
  return is_clear ? 0 : 4;
}

/* The first test: what has been permitted stays permitted. */
static void test_refused(void **state) {
  (void)state;
  int status = 0;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) _exit(try_refused());
  assert_true(child > 0 && waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
    print_message("the system does not refuse tiles for a small stack: not tested\n");
    skip();
  }
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_refused), cmocka_unit_test(test_without_tiles), cmocka_unit_test(test_integers),
      cmocka_unit_test(test_pairs),   cmocka_unit_test(test_tiles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
