/* Does a pass keep what a program computes? Every entry is evaluated before and after it (evaluate.h) on the same
 * random inputs: a few tokens that cross a chunk boundary, states and pending rows that are not zero.
 *
 * From graph to graph the results are float64's and may differ by reassociation only; where kernels come in they are
 * the declared types'; a pass whose row says so keeps every bit. */
#ifndef RETC_COMPILER_CHECK_H
#define RETC_COMPILER_CHECK_H

#include "compiler/evaluate.h"

typedef struct retc_check retc_check;

/* Makes the inputs and evaluates the program as it stands. */
retc_status retc_check_create(const retc_compilation *compilation, uint64_t seed, retc_diagnostics *diagnostics,
                              retc_check **out_check);
void retc_check_destroy(retc_check *check);

/* The worst of all outputs. */
typedef struct retc_check_result {
  const char *entry, *output; /* lent by the check until the next step */
  double difference;          /* largest of |after - before| */
  double scale;               /* largest of |before| in that output */
  double limit;               /* of the difference; 0: the same bits */
  bool holds;
} retc_check_result;

/* Evaluates again after a pass (a row of passes.def) and compares. */
retc_status retc_check_step(retc_check *check, const retc_compilation *compilation, size_t pass,
                            retc_diagnostics *diagnostics, retc_check_result *out_result);

#endif
