/* Runs the threads of a block as fibers that hand over at barriers and at the operations of their waves. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device.h"

enum { STACK = 256 << 10, GUARD = 4096 };

typedef enum thread_state { READY, AT_BARRIER, MEETING, ENDED } thread_state;

typedef struct fiber {
  void *stack_pointer; /* while it does not run */
  thread_state state;
  int line;            /* AT_BARRIER */
} fiber;

typedef struct wave {
  emulator_wave meeting;
  emulator_operation operation;
  int arrived, alive;
} wave;

emulator_running emulator_now;
static fiber fibers[EMULATOR_BLOCK_MAX];
static wave waves[EMULATOR_BLOCK_MAX];
static char *stacks; /* of EMULATOR_BLOCK_MAX fibers, a guard page below each */
static void *scheduler_stack;
static int order[EMULATOR_BLOCK_MAX];
static int thread_count, wave_count, alive;
static bool failed;
static uint64_t random_state;

/* Saves the callee's registers on this stack, its pointer in *save, and continues on another stack. */
void emulator_switch(void **save, void *to);
#if defined(__x86_64__)
__asm__(".text\n.hidden emulator_switch\n.globl emulator_switch\n.type emulator_switch, @function\n"
        "emulator_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
        ".size emulator_switch, .-emulator_switch\n");
enum { SAVED = 6 };
#else
#error "the emulator's fibers are written for x86-64"
#endif

static uint64_t next_random(void) {
  random_state += 0x9e3779b97f4a7c15u;
  uint64_t x = random_state;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

static void enter(int thread) {
  const int size = emulator_get_settings()->wave_size;
  emulator_now.thread = thread;
  emulator_now.wave = thread / size;
  emulator_now.stack_begin = stacks + (size_t)thread * STACK;
  emulator_now.stack_end = emulator_now.stack_begin + STACK;
  emulator_now.inside = true;
  emulator_switch(&scheduler_stack, fibers[thread].stack_pointer);
  emulator_now.inside = false;
}

static void leave(void) { emulator_switch(&fibers[emulator_now.thread].stack_pointer, scheduler_stack); }

/* ---- errors ---- */

void emulator_fail(const void *caller, const char *format, ...) {
  char words[512], line[512] = "";
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(words, sizeof words, format, arguments);
  va_end(arguments);
  const emulator_launch *launch = emulator_now.launch;
  const unsigned *block = emulator_now.block_index;
  if (caller) emulator_module_line(launch->function->module, caller, line, sizeof line);
  fprintf(stderr, "emulator: kernel %s, block (%u,%u,%u), thread %d: %s%s%s\n", launch->function->kernel->name,
          block[0], block[1], block[2], emulator_now.thread, words, *line ? "; " : "", line);
  failed = true;
  if (emulator_now.inside) leave(); /* and does not come back */
  abort();
}

static void fail_outside(const char *format, ...) {
  char words[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(words, sizeof words, format, arguments);
  va_end(arguments);
  const unsigned *block = emulator_now.block_index;
  fprintf(stderr, "emulator: kernel %s, block (%u,%u,%u): %s\n", emulator_now.launch->function->kernel->name, block[0],
          block[1], block[2], words);
  failed = true;
}

static void on_fault(int signal_number, siginfo_t *information, void *context) {
  (void)context;
  if (!emulator_now.inside) {
    signal(signal_number, SIG_DFL);
    return;
  }
  char text[128];
  emulator_memory_describe(information->si_addr, text, sizeof text);
  emulator_fail(NULL, "touches a byte %s", text);
}

/* ---- what threads call ---- */

static void finish_meeting(wave *w) {
  const char *problem = w->operation(&w->meeting);
  if (problem) emulator_fail(NULL, "%s", problem);
  const int size = w->meeting.size, first = (int)(w - waves) * size;
  for (int lane = 0; lane < size; lane++) {
    if (fibers[first + lane].state == MEETING) fibers[first + lane].state = READY;
  }
  memset(w->meeting.in, 0, sizeof w->meeting.in);
  w->arrived = 0;
}

static void meet(emulator_operation operation, const void *in, void *out) {
  wave *w = &waves[emulator_now.wave];
  const int lane = emulator_now.thread % w->meeting.size;
  if (w->arrived && w->operation != operation) {
    emulator_fail(__builtin_return_address(0), "divergent: the lanes of its wave meet in different operations");
  }
  w->operation = operation;
  w->meeting.in[lane] = in;
  w->meeting.out[lane] = out;
  fibers[emulator_now.thread].state = MEETING;
  if (++w->arrived == w->alive) finish_meeting(w);
  else leave();
}

static const char *order_memory(const emulator_wave *meeting) {
  (void)meeting;
  emulator_now.wave_time[emulator_now.wave] = ++emulator_now.time;
  return NULL;
}

static void wave_barrier(void) {
  char nothing = 0;
  meet(order_memory, &nothing, &nothing);
}

static void barrier(int line) {
  fibers[emulator_now.thread].state = AT_BARRIER;
  fibers[emulator_now.thread].line = line;
  leave();
}

static unsigned thread_index(int axis) {
  const unsigned *block = emulator_now.launch->block, flat = (unsigned)emulator_now.thread;
  if (axis == 0) return flat % block[0];
  return axis == 1 ? flat / block[0] % block[1] : flat / block[0] / block[1];
}
static unsigned block_index(int axis) { return emulator_now.block_index[axis]; }
static unsigned block_size(int axis) { return emulator_now.launch->block[axis]; }
static unsigned grid_size(int axis) { return emulator_now.launch->grid[axis]; }
static int wave_size(void) { return emulator_get_settings()->wave_size; }
static int lane(void) { return emulator_now.thread % wave_size(); }

static void fail_service(const void *caller, const char *format, ...) {
  char words[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(words, sizeof words, format, arguments);
  va_end(arguments);
  emulator_fail(caller, "%s", words);
}

const emulator_services emulator_the_services = {
    .thread_index = thread_index, .block_index = block_index, .block_size = block_size, .grid_size = grid_size,
    .lane = lane, .wave_size = wave_size, .barrier = barrier, .meet = meet, .wave_barrier = wave_barrier,
    .check = emulator_check, .fail = fail_service};

/* ---- one block ---- */

static void thread_main(void) {
  const emulator_launch *launch = emulator_now.launch;
  launch->function->kernel->call(launch->arguments);
  wave *w = &waves[emulator_now.wave];
  fibers[emulator_now.thread].state = ENDED;
  alive--;
  if (w->arrived == --w->alive && w->alive > 0) finish_meeting(w);
  leave();
  abort();
}

static void start_fiber(int thread) {
  void **top = (void **)(stacks + (size_t)(thread + 1) * STACK);
  void (*entry)(void) = thread_main;
  *--top = NULL; /* where thread_main would return to: the stack is aligned as behind a call */
  top--;
  memcpy(top, &entry, sizeof entry);
  top -= SAVED;
  memset(top, 0, SAVED * sizeof *top);
  fibers[thread] = (fiber){.stack_pointer = top, .state = READY};
}

static void start_block(void) {
  const int size = emulator_get_settings()->wave_size;
  const emulator_module *module = emulator_now.launch->function->module;
  emulator_now.block_time = emulator_now.barrier_time = ++emulator_now.time;
  for (int t = 0; t < thread_count; t++) start_fiber(t);
  for (int w = 0; w < wave_count; w++) {
    const int rest = thread_count - w * size;
    waves[w] = (wave){.meeting = {.size = size}, .alive = rest < size ? rest : size};
    emulator_now.wave_time[w] = emulator_now.time;
  }
  alive = thread_count;
  if (module->shared_end > module->shared_begin) {
    memset(module->shared_begin, 0xff, (size_t)(module->shared_end - module->shared_begin));
  }
}

static void count_states(int *out_counts, int *out_line, bool *out_one_line) {
  *out_line = 0;
  *out_one_line = true;
  memset(out_counts, 0, 4 * sizeof *out_counts);
  for (int t = 0; t < thread_count; t++) {
    out_counts[fibers[t].state]++;
    if (fibers[t].state != AT_BARRIER) continue;
    if (*out_line && *out_line != fibers[t].line) *out_one_line = false;
    *out_line = fibers[t].line;
  }
}

/* No thread can go on: all of them are at one barrier, or the kernel is wrong. */
static void pass_barrier(void) {
  int counts[4], line;
  bool one_line;
  count_states(counts, &line, &one_line);
  if (counts[AT_BARRIER] != thread_count) {
    fail_outside("a divergent barrier or wave: of %d threads %d wait at a barrier (line %d), %d for their wave, and %d "
                 "have ended",
                 thread_count, counts[AT_BARRIER], line, counts[MEETING], counts[ENDED]);
    return;
  }
  if (!one_line) {
    fail_outside("a divergent barrier: the threads wait at different ones, one of them in line %d", line);
    return;
  }
  emulator_now.barrier_time = ++emulator_now.time;
  for (int t = 0; t < thread_count; t++) fibers[t].state = READY;
}

static void run_block(void) {
  start_block();
  while (alive && !failed) {
    bool progress = false;
    for (int i = 0; i < thread_count && !failed; i++) {
      if (fibers[order[i]].state != READY) continue;
      enter(order[i]);
      progress = true;
    }
    if (!progress && alive && !failed) pass_barrier();
  }
}

/* ---- a launch ---- */

static bool prepare_stacks(void) {
  if (stacks) return true;
  char *memory = mmap(NULL, (size_t)EMULATOR_BLOCK_MAX * STACK, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  for (size_t i = 0; i < EMULATOR_BLOCK_MAX; i++) mprotect(memory + i * STACK, GUARD, PROT_NONE);
  stacks = memory;
  return true;
}

static void shuffle_threads(void) {
  for (int t = 0; t < thread_count; t++) order[t] = t;
  for (int t = thread_count - 1; t > 0 && emulator_get_settings()->seed; t--) {
    int other = (int)(next_random() % (uint64_t)(t + 1)), kept = order[t];
    order[t] = order[other];
    order[other] = kept;
  }
}

static uint64_t divisor_of_both(uint64_t a, uint64_t b) { return b ? divisor_of_both(b, a % b) : a; }

/* Blocks in the order start, start + stride, ..., with a stride that comes by all of them. */
static void run_blocks(const emulator_launch *launch) {
  const uint64_t x = launch->grid[0], y = launch->grid[1], blocks = x * y * launch->grid[2];
  uint64_t start = 0, stride = 1;
  if (emulator_get_settings()->seed) {
    start = next_random() % blocks;
    stride = next_random() % blocks | 1;
    while (divisor_of_both(stride, blocks) != 1) stride++;
  }
  for (uint64_t i = 0; i < blocks && !failed; i++) {
    const uint64_t block = (start + i % blocks * (stride % blocks)) % blocks;
    emulator_now.block_index[0] = (unsigned)(block % x);
    emulator_now.block_index[1] = (unsigned)(block / x % y);
    emulator_now.block_index[2] = (unsigned)(block / x / y);
    shuffle_threads();
    run_block();
  }
}

bool emulator_run(const emulator_launch *launch) {
  static bool seeded;
  if (!seeded) random_state = emulator_get_settings()->seed;
  seeded = true;
  if (!prepare_stacks()) return false;
  thread_count = (int)(launch->block[0] * launch->block[1] * launch->block[2]);
  const int size = emulator_get_settings()->wave_size;
  wave_count = (thread_count + size - 1) / size;
  failed = false;
  emulator_now.launch = launch;
  if (emulator_now.time > UINT32_MAX / 2) abort(); /* no test is that long */
  emulator_now.launch_time = ++emulator_now.time;
  struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER}, old_fault, old_bus;
  sigaction(SIGSEGV, &fault, &old_fault);
  sigaction(SIGBUS, &fault, &old_bus);
  run_blocks(launch);
  sigaction(SIGSEGV, &old_fault, NULL);
  sigaction(SIGBUS, &old_bus, NULL);
  emulator_now.launch = NULL;
  return !failed;
}
