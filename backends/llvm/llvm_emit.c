#include <string.h>

#include "backends/llvm/llvm_private.h"
#include "ir/kernel_walk.h"

enum { STACK_BYTES = 2048, UNROLL_MAX = 4096, ALIGNMENT = 64 };
enum { WRITTEN_OUT_MAX = 16 }; /* statements */

static void emit_block(retc_llvm_emitter *e, const retc_block *block);

static LLVMBasicBlockRef new_block(retc_llvm_emitter *e, const char *name) {
  return LLVMAppendBasicBlockInContext(e->context, e->function, name);
}

retc_llvm_loop retc_llvm_loop_begin(retc_llvm_emitter *e, LLVMValueRef low, LLVMValueRef high, const char *name) {
  retc_llvm_loop loop = {.before = LLVMGetInsertBlock(e->builder), .high = high};
  loop.body = new_block(e, name);
  loop.after = new_block(e, "");
  LLVMValueRef enters = LLVMBuildICmp(e->builder, LLVMIntSLT, low, high, "");
  LLVMBuildCondBr(e->builder, enters, loop.body, loop.after);
  LLVMPositionBuilderAtEnd(e->builder, loop.body);
  loop.index = LLVMBuildPhi(e->builder, LLVMTypeOf(low), name);
  LLVMAddIncoming(loop.index, &low, &loop.before, 1);
  return loop;
}

void retc_llvm_loop_end(retc_llvm_emitter *e, retc_llvm_loop *loop, LLVMValueRef step) {
  loop->latch = LLVMGetInsertBlock(e->builder);
  LLVMValueRef next = LLVMBuildNSWAdd(e->builder, loop->index, step, "");
  LLVMAddIncoming(loop->index, &next, &loop->latch, 1);
  LLVMValueRef again = LLVMBuildICmp(e->builder, LLVMIntSLT, next, loop->high, "");
  LLVMBuildCondBr(e->builder, again, loop->body, loop->after);
  LLVMMoveBasicBlockAfter(loop->after, loop->latch);
  LLVMPositionBuilderAtEnd(e->builder, loop->after);
}

static const char *variable_name(const retc_llvm_emitter *e, const retc_statement *s) {
  return e->kernel->variables.items[s->variable.index];
}

static void emit_serial(retc_llvm_emitter *e, const retc_statement *s, LLVMValueRef low, LLVMValueRef high) {
  retc_llvm_loop loop = retc_llvm_loop_begin(e, low, high, variable_name(e, s));
  e->variables[s->variable.index] = (retc_llvm_value){.scalar = loop.index};
  emit_block(e, &s->body);
  retc_llvm_loop_end(e, &loop, retc_llvm_integer(e, s->step));
}

/* Iterations of low..high by step. */
static LLVMValueRef emit_count(retc_llvm_emitter *e, const retc_statement *s, LLVMValueRef low, LLVMValueRef high) {
  LLVMValueRef extent = LLVMBuildSub(e->builder, high, low, "");
  LLVMValueRef none = LLVMBuildICmp(e->builder, LLVMIntSLE, high, low, "");
  extent = LLVMBuildSelect(e->builder, none, retc_llvm_integer(e, 0), extent, "");
  LLVMValueRef rounded = LLVMBuildAdd(e->builder, extent, retc_llvm_integer(e, s->step - 1), "");
  return LLVMBuildUDiv(e->builder, rounded, retc_llvm_integer(e, s->step), "");
}

static void emit_parallel(retc_llvm_emitter *e, const retc_statement *s, LLVMValueRef low, LLVMValueRef high) {
  LLVMValueRef count = emit_count(e, s, low, high), step = retc_llvm_integer(e, s->step), bounds[2];
  for (int side = 0; side < 2; side++) {
    LLVMValueRef part = LLVMBuildAdd(e->builder, e->thread, retc_llvm_integer(e, side), "");
    LLVMValueRef index =
      LLVMBuildSDiv(e->builder, LLVMBuildMul(e->builder, count, part, ""), e->threads, "");
    bounds[side] = LLVMBuildAdd(e->builder, low, LLVMBuildMul(e->builder, index, step, ""), "");
  }
  emit_serial(e, s, bounds[0], bounds[1]);
}

bool retc_llvm_is_constant(LLVMValueRef value, int64_t *out_value) {
  if (!LLVMIsAConstantInt(value)) return false;
  *out_value = LLVMConstIntGetSExtValue(value);
  return true;
}

static void emit_unrolled(retc_llvm_emitter *e, const retc_statement *s, LLVMValueRef low, LLVMValueRef high) {
  int64_t from = 0, count = 0;
  bool constant = retc_llvm_is_constant(low, &from) && retc_llvm_is_constant(emit_count(e, s, low, high), &count);
  if (!constant || count > UNROLL_MAX) {
    emit_serial(e, s, low, high);
    return;
  }
  if (retc_llvm_emit_mma_together(e, s, from, count)) return;
  for (int64_t i = 0; i < count; i++) {
    e->variables[s->variable.index] = (retc_llvm_value){.scalar = retc_llvm_integer(e, from + i * s->step)};
    emit_block(e, &s->body);
  }
}

/* The iterations from `index` on, one a lane. */
static void emit_lanes(retc_llvm_emitter *e, const retc_statement *s, LLVMValueRef index, int64_t lanes) {
  e->lanes = (unsigned)lanes;
  e->variables[s->variable.index] =
    (retc_llvm_value){.scalar = index, .step = lanes > 1 ? retc_llvm_integer(e, s->step) : NULL};
  emit_block(e, &s->body);
  e->lanes = 1;
}

/* The iterations low..high, whose number is a multiple of `lanes`. */
static void emit_lanes_loop(retc_llvm_emitter *e, const retc_statement *s, LLVMValueRef low, LLVMValueRef high,
                            int64_t lanes) {
  retc_llvm_loop loop = retc_llvm_loop_begin(e, low, high, variable_name(e, s));
  emit_lanes(e, s, loop.index, lanes);
  retc_llvm_loop_end(e, &loop, retc_llvm_integer(e, s->step * lanes));
}

static LLVMValueRef ahead(retc_llvm_emitter *e, LLVMValueRef index, int64_t distance) {
  return LLVMBuildAdd(e->builder, index, retc_llvm_integer(e, distance), "");
}

/* A constant number of iterations: full vectors, then halves of that. Few and short ones are written out, so that a
 * private buffer can stay in registers. */
static void emit_vector_constant(retc_llvm_emitter *e, const retc_statement *s, LLVMValueRef low, int64_t count) {
  int64_t written_out = WRITTEN_OUT_MAX / (int64_t)(s->body.statements.count + 1);
  for (int64_t lanes = e->profile.vector_bytes / 4; lanes > 0; lanes /= 2) {
    int64_t part = count / lanes;
    if (part > 1 && part > written_out) {
      emit_lanes_loop(e, s, low, ahead(e, low, part * lanes * s->step), lanes);
    } else {
      for (int64_t i = 0; i < part; i++) emit_lanes(e, s, ahead(e, low, i * lanes * s->step), lanes);
    }
    low = ahead(e, low, part * lanes * s->step);
    count -= part * lanes;
  }
}

static void emit_vector(retc_llvm_emitter *e, const retc_statement *s, LLVMValueRef low, LLVMValueRef high) {
  LLVMValueRef count = emit_count(e, s, low, high);
  int64_t constant, lanes = e->profile.vector_bytes / 4;
  if (retc_llvm_is_constant(count, &constant)) {
    emit_vector_constant(e, s, low, constant);
    return;
  }
  LLVMValueRef rest = LLVMBuildURem(e->builder, count, retc_llvm_integer(e, lanes), "");
  LLVMValueRef full = LLVMBuildSub(e->builder, count, rest, "");
  LLVMValueRef extent = LLVMBuildMul(e->builder, full, retc_llvm_integer(e, s->step), "");
  LLVMValueRef middle = LLVMBuildAdd(e->builder, low, extent, "");
  emit_lanes_loop(e, s, low, middle, lanes);
  emit_lanes_loop(e, s, middle, high, 1);
}

static void emit_for(retc_llvm_emitter *e, const retc_statement *s) {
  LLVMValueRef low = retc_llvm_emit_scalar(e, s->low), high = retc_llvm_emit_scalar(e, s->high);
  switch (s->loop) {
    case RETC_LOOP_SERIAL: emit_serial(e, s, low, high); break;
    case RETC_LOOP_UNROLL: emit_unrolled(e, s, low, high); break;
    case RETC_LOOP_VECTOR: emit_vector(e, s, low, high); break;
    case RETC_LOOP_PARALLEL: emit_parallel(e, s, low, high); break;
    default: e->refused = retc_loop_kind_name(s->loop);
  }
}

static void emit_if(retc_llvm_emitter *e, const retc_statement *s) {
  LLVMValueRef condition = retc_llvm_emit_scalar(e, s->value);
  LLVMBasicBlockRef yes = new_block(e, "then"), no = new_block(e, "else"), after = new_block(e, "");
  LLVMBuildCondBr(e->builder, condition, yes, no);
  LLVMPositionBuilderAtEnd(e->builder, yes);
  emit_block(e, &s->body);
  LLVMBuildBr(e->builder, after);
  LLVMPositionBuilderAtEnd(e->builder, no);
  const uint32_t skipped = retc_block_count(&s->body);
  e->line += skipped;
  emit_block(e, &s->other);
  e->line -= skipped;
  LLVMBuildBr(e->builder, after);
  LLVMPositionBuilderAtEnd(e->builder, after);
}

static void emit_statement(retc_llvm_emitter *e, const retc_statement *s) {
  e->number++;
  switch (s->kind) {
    case RETC_STATEMENT_FOR: emit_for(e, s); break;
    case RETC_STATEMENT_IF: emit_if(e, s); break;
    case RETC_STATEMENT_LET: e->variables[s->variable.index] = retc_llvm_emit_expr(e, s->value); break;
    case RETC_STATEMENT_STORE: retc_llvm_emit_store(e, s); break;
    case RETC_STATEMENT_ALLOC:
      if (retc_kernel_buffer(e->kernel, s->buffer)->scope == RETC_SCOPE_SHARED) e->refused = "shared memory";
      break;
    case RETC_STATEMENT_BARRIER: e->refused = "barrier"; break;
    case RETC_STATEMENT_MMA: retc_llvm_emit_mma(e, s); break;
  }
}

/* While a statement is emitted, again and again perhaps, e->line is its number; so is it again behind its blocks. */
static void emit_block(retc_llvm_emitter *e, const retc_block *block) {
  const uint32_t outer = e->line;
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    e->line++;
    retc_llvm_locate(e);
    emit_statement(e, s);
    e->line += retc_block_count(&s->body) + retc_block_count(&s->other);
  }
  e->line = outer;
  retc_llvm_locate(e);
}

static void add_attribute(retc_llvm_emitter *e, LLVMAttributeIndex index, const char *name) {
  unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
  LLVMAddAttributeAtIndex(e->function, index, LLVMCreateEnumAttribute(e->context, kind, 0));
}

static void add_word(retc_llvm_emitter *e, const char *name, const char *value) {
  LLVMAttributeRef attribute =
    LLVMCreateStringAttribute(e->context, name, (unsigned)strlen(name), value, (unsigned)strlen(value));
  LLVMAddAttributeAtIndex(e->function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, attribute);
}

/* Every buffer is an object of its own, and so is the scratch memory. */
static void add_attributes(retc_llvm_emitter *e, const retc_llvm_target *target, unsigned pointers, unsigned scratch) {
  add_attribute(e, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, "nounwind");
  if (*target->cpu) add_word(e, "target-cpu", target->cpu);
  if (*target->features) add_word(e, "target-features", target->features);
  if (target->profile.vector_bytes == 64) {
    add_word(e, "prefer-vector-width", "512");
    add_word(e, "min-legal-vector-width", "512");
  }
  for (unsigned parameter = 0; parameter <= scratch; parameter++) {
    if (parameter >= pointers && parameter < scratch) continue;
    add_attribute(e, parameter + 1, "noalias");
    add_attribute(e, parameter + 1, "nocapture");
  }
}

static void declare_function(retc_llvm_emitter *e, const retc_signature *signature, const retc_llvm_target *target,
                             retc_arena *arena) {
  unsigned buffers = (unsigned)signature->buffer_count, dims = (unsigned)signature->dim_count;
  unsigned count = buffers + dims + 3, at = 0;
  LLVMTypeRef *types = RETC_NEW_ARRAY(arena, LLVMTypeRef, count);
  LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0), integer = LLVMInt64TypeInContext(e->context);
  for (unsigned i = 0; i < count; i++) types[i] = i < buffers || i == buffers + dims ? pointer : integer;
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, count, false);
  e->function = LLVMAddFunction(e->module, e->kernel->name, type);
  add_attributes(e, target, buffers, buffers + dims);
  for (uint32_t i = 1; i < e->kernel->buffers.count; i++) {
    if (e->kernel->buffers.items[i].scope != RETC_SCOPE_GLOBAL) continue;
    e->buffers[i] = LLVMGetParam(e->function, at++);
    LLVMSetValueName2(e->buffers[i], e->kernel->buffers.items[i].name, strlen(e->kernel->buffers.items[i].name));
  }
  for (unsigned i = 0; i < dims; i++) e->dims[signature->dims[i]] = LLVMGetParam(e->function, at++);
  e->thread = LLVMGetParam(e->function, at + 1);
  e->threads = LLVMGetParam(e->function, at + 2);
}

/* Small private buffers are stack, which LLVM keeps in registers where it can; large ones lie in the scratch memory,
 * each at its place in the order of all private buffers. */
static void place_private_buffers(retc_llvm_emitter *e, const retc_signature *signature) {
  LLVMValueRef scratch = LLVMGetParam(e->function, (unsigned)(signature->buffer_count + signature->dim_count));
  LLVMTypeRef byte = LLVMInt8TypeInContext(e->context);
  int64_t offset = 0;
  for (uint32_t i = 1; i < e->kernel->buffers.count; i++) {
    const retc_buffer *buffer = &e->kernel->buffers.items[i];
    if (buffer->scope != RETC_SCOPE_PRIVATE) continue;
    int64_t bytes = retc_buffer_private_bytes(buffer);
    if (bytes <= STACK_BYTES) {
      e->buffers[i] = LLVMBuildAlloca(e->builder, LLVMArrayType2(byte, (uint64_t)bytes), buffer->name);
      LLVMSetAlignment(e->buffers[i], ALIGNMENT);
    } else {
      LLVMValueRef place = retc_llvm_integer(e, offset);
      e->buffers[i] = LLVMBuildInBoundsGEP2(e->builder, byte, scratch, &place, 1, buffer->name);
    }
    offset += bytes;
  }
}

static bool has_parallel_loop(const retc_kernel *kernel) {
  for (size_t i = 0; i < kernel->body.statements.count; i++) {
    const retc_statement *s = kernel->body.statements.items[i];
    if (s->kind == RETC_STATEMENT_FOR && s->loop == RETC_LOOP_PARALLEL) return true;
  }
  return false;
}

/* Without a parallel loop there is work for one thread only. */
static void emit_body(retc_llvm_emitter *e, const retc_signature *signature) {
  LLVMBasicBlockRef entry = new_block(e, "entry"), body = new_block(e, "body"), after = new_block(e, "done");
  LLVMPositionBuilderAtEnd(e->builder, entry);
  place_private_buffers(e, signature);
  LLVMValueRef mine = LLVMConstInt(LLVMInt1TypeInContext(e->context), 1, false);
  if (!has_parallel_loop(e->kernel))
    mine = LLVMBuildICmp(e->builder, LLVMIntEQ, e->thread, retc_llvm_integer(e, 0), "");
  LLVMBuildCondBr(e->builder, mine, body, after);
  LLVMPositionBuilderAtEnd(e->builder, body);
  emit_block(e, &e->kernel->body);
  retc_llvm_release_tiles(e);
  LLVMBuildBr(e->builder, after);
  LLVMPositionBuilderAtEnd(e->builder, after);
  LLVMBuildRetVoid(e->builder);
}

retc_status retc_llvm_emit_kernel(retc_llvm_emitter *e, const retc_kernel *kernel, const retc_llvm_target *target,
                                  retc_diagnostics *diagnostics) {
  retc_arena arena;
  retc_arena_init(&arena);
  retc_signature signature = retc_kernel_signature(kernel);
  e->kernel = kernel;
  e->profile = target->profile;
  e->buffers = RETC_NEW_ARRAY(&arena, LLVMValueRef, kernel->buffers.count);
  e->variables = RETC_NEW_ARRAY(&arena, retc_llvm_value, kernel->variables.count);
  e->values = RETC_NEW_ARRAY(&arena, retc_llvm_value, kernel->exprs.count);
  e->seen = RETC_NEW_ARRAY(&arena, uint32_t, kernel->exprs.count);
  e->number = 0;
  e->lanes = 1;
  e->tile_shape = e->unpacked = NULL;
  e->lacks_tiles = false;
  e->refused = NULL;
  declare_function(e, &signature, target, &arena);
  e->line = 0;
  if (e->debug) retc_llvm_locations_begin(e);
  emit_body(e, &signature);
  retc_arena_deinit(&arena);
  if (e->lacks_tiles) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "kernel %s: multiplies bf16 by tiles (AMX), which %s does not have or the system "
                     "does not permit",
                     kernel->name, target->profile.name);
  }
  if (!e->refused) return RETC_OK;
  return retc_fail(diagnostics, RETC_INTERNAL, "kernel %s: '%s' cannot be expressed on a CPU", kernel->name,
                   e->refused);
}
