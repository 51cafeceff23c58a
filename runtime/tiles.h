/* The tile registers of x86 (AMX). A program has to ask its system for them: an instruction on tiles ends one that did
 * not. */
#ifndef RETC_RUNTIME_TILES_H
#define RETC_RUNTIME_TILES_H

#include <stdbool.h>

/* Asks the system, for all threads of this process. False when there is nothing to ask for or the system refuses, as it
 * does when a thread's alternate stack for signals has no room for tiles. Asking again costs a system call. */
bool retc_tiles_permit(void);

#endif
