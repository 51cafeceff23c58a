/* Several files of one directory, which appear together. */
#ifndef RETC_MAIN_OUTPUT_FILES_H
#define RETC_MAIN_OUTPUT_FILES_H

#include "base/status.h"
#include "base/text.h"

typedef struct retc_output_file {
  const char *name; /* in the directory */
  retc_text text;
} retc_output_file;

/* RETC_INVALID when `path` is there and is no directory: to be asked before the work is done. */
retc_status retc_output_check_directory(const char *path, retc_diagnostics *diagnostics);
/* Makes the directory if it is not there. All files are complete beside their places before the first takes its name;
 * after a failure before that nothing is left behind. */
retc_status retc_output_files_write(const char *directory, const retc_output_file *files, size_t count,
                                    retc_diagnostics *diagnostics);

#endif
