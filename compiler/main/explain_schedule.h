/* `retc explain --schedule`: what schedule chose for each kernel and why, and which chunk length would do best. */
#ifndef RETC_MAIN_EXPLAIN_SCHEDULE_H
#define RETC_MAIN_EXPLAIN_SCHEDULE_H

#include "base/text.h"
#include "compiler/compile.h"
#include "compiler/network.h"

/* Of a compilation that schedule has been run on. */
void retc_explain_schedule(const retc_compilation *compilation, const retc_network *network, retc_text *out_text);

#endif
