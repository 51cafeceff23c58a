/* A build without Graphviz. */
#include "compiler/main/html/html.h"

bool retc_html_layout_is_there(void) { return false; }

retc_status retc_html_layout(retc_html_picture *picture, retc_diagnostics *diagnostics) {
  (void)picture;
  return retc_fail(diagnostics, RETC_FAILED, "graphs cannot be drawn: this retc was built without Graphviz");
}
