/* What reproducers ask for, as facts on the line "program": run=[fuse, llvm] cpu="x86-64-v4" machine=[...]. */
#ifndef RETC_COMPILER_REPLAY_H
#define RETC_COMPILER_REPLAY_H

#include "compiler/compile.h"

struct retc_lexer;

/* What stands behind "run=" and "machine="; "llvm" or "hip" comes last. RETC_INVALID with the place. */
retc_status retc_replay_read_run(struct retc_lexer *lexer, retc_replay *replay);
retc_status retc_replay_read_machine(struct retc_lexer *lexer, retc_replay *replay);
/* Each fact with a blank before it; nothing when nothing is asked for. */
void retc_replay_print(const retc_replay *replay, retc_text *out_text);

#endif
