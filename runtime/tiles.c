#include "runtime/tiles.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

/* <asm/prctl.h> has the first only where the system's headers are new enough, the second not at all. */
enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

bool retc_tiles_permit(void) { return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0; }
#else
bool retc_tiles_permit(void) { return false; }
#endif
