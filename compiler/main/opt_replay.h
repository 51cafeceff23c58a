/* What a reproducer asks for on its line "program": the stages that failed, run again. */
#ifndef RETC_MAIN_OPT_REPLAY_H
#define RETC_MAIN_OPT_REPLAY_H

#include "compiler/compile.h"

bool retc_opt_wants_replay(const retc_compilation *compilation);
/* Runs them, for the machine that the text names unless `cpu` names another; it is fulfilled then, and gone. */
retc_status retc_opt_replay(retc_compilation *compilation, const char *cpu, retc_diagnostics *diagnostics);

#endif
