#include "ir/kernel.h"
#include "ir/kernel_walk.h"

enum { BLOCK_LEAST = 64, BLOCK_MOST = 256 };

typedef struct block_size {
  const retc_kernel *kernel;
  int64_t fixed, widest;
} block_size;

static bool has_barrier(const retc_block *block) {
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_BARRIER || has_barrier(&s->body) || has_barrier(&s->other)) return true;
  }
  return false;
}

/* What a lane loop wants: its iterations where they are a constant, else as many as there may be. */
static int64_t width_of(const retc_kernel *kernel, const retc_statement *loop) {
  const retc_expr_node *low = retc_kernel_expr(kernel, loop->low), *high = retc_kernel_expr(kernel, loop->high);
  if (low->op != RETC_KERNEL_OP_CONST || high->op != RETC_KERNEL_OP_CONST) return BLOCK_MOST;
  return high->integer > low->integer ? (high->integer - low->integer - 1) / loop->step + 1 : 0;
}

static void measure_lanes(block_size *size, const retc_block *block) {
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_FOR && s->loop == RETC_LOOP_WAVE) size->widest = BLOCK_MOST;
    if (s->kind == RETC_STATEMENT_FOR && s->loop == RETC_LOOP_LANE) {
      int64_t width = width_of(size->kernel, s);
      if (has_barrier(&s->body)) size->fixed = width;
      else if (width > size->widest) size->widest = width;
    }
    measure_lanes(size, &s->body);
    measure_lanes(size, &s->other);
  }
}

/* The grid loop of a block that else holds only lets, or NULL. */
static const retc_statement *find_grid(const retc_block *block) {
  const retc_statement *found = NULL;
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_LET) continue;
    if (found || s->kind != RETC_STATEMENT_FOR || s->loop != RETC_LOOP_GRID) return NULL;
    found = s;
  }
  return found;
}

retc_launch retc_kernel_launch(const retc_kernel *kernel) {
  retc_launch launch = {0};
  const retc_block *block = &kernel->body;
  for (const retc_statement *loop; launch.grid_count < 3 && (loop = find_grid(block)); block = &loop->body) {
    launch.grid[launch.grid_count++] = loop;
  }
  if (!launch.grid_count) return launch;
  const retc_statement *outer = launch.grid[0];
  launch.grid[0] = launch.grid[launch.grid_count - 1];
  launch.grid[launch.grid_count - 1] = outer;
  for (size_t i = 1; i < kernel->buffers.count; i++) {
    const retc_buffer *buffer = &kernel->buffers.items[i];
    if (buffer->scope == RETC_SCOPE_SHARED) launch.shared_bytes += retc_buffer_private_bytes(buffer);
  }
  block_size size = {.kernel = kernel};
  measure_lanes(&size, block);
  int64_t rounded = (size.widest + BLOCK_LEAST - 1) / BLOCK_LEAST * BLOCK_LEAST;
  launch.block = rounded < BLOCK_LEAST ? BLOCK_LEAST : rounded > BLOCK_MOST ? BLOCK_MOST : rounded;
  if (size.fixed) launch.block = size.fixed;
  return launch;
}

retc_expr retc_kernel_find_let(const retc_kernel *kernel, retc_variable variable) {
  const retc_block *block = &kernel->body;
  while (block) {
    const retc_statement *grid = NULL;
    for (size_t i = 0; i < block->statements.count; i++) {
      const retc_statement *s = block->statements.items[i];
      if (s->kind == RETC_STATEMENT_LET && s->variable.index == variable.index) return s->value;
      if (s->kind == RETC_STATEMENT_FOR && s->loop == RETC_LOOP_GRID) grid = s;
    }
    block = grid ? &grid->body : NULL;
  }
  return (retc_expr){0};
}
