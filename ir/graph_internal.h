/* What the files ir/graph*.c share with each other and with nobody else. */
#ifndef RETC_IR_GRAPH_INTERNAL_H
#define RETC_IR_GRAPH_INTERNAL_H

#include "base/table.h"
#include "ir/graph.h"

/* A value that nobody named. */
bool retc_name_is_number(const char *name);
retc_notes retc_notes_copy(retc_graph *graph, const retc_notes *notes);

/* Steps through the attributes of a row of graph_ops.def:
 *   retc_attribute_walk walk = retc_attribute_walk_start(op); while (retc_attribute_walk_next(&walk)) ... */
typedef struct retc_attribute_walk {
  const char *next;
  char kind;        /* 'i', 'f', 's', 'd' */
  const char *name; /* name_length characters; none for 'd' */
  int name_length;
  int integer; /* 'i': which of the integers */
} retc_attribute_walk;
retc_attribute_walk retc_attribute_walk_start(retc_op op);
bool retc_attribute_walk_next(retc_attribute_walk *walk);

/* The input whose type result `index` >= 1 of a MULTIPLE operation has; -1 when it has no such result. */
int retc_part_input(retc_op op, int64_t index);
enum { RETC_PARTS_MAX = 4 };

/* What the node, not yet in the graph, equals: an existing value or one built here; none when it is needed. */
retc_value retc_graph_fold(retc_builder *builder, const retc_node *node);

/* One element of a POINTWISE node of its inputs' elements, not rounded to the node's dtype except by a cast. */
double retc_pointwise_eval(const retc_node *node, const double *in);
/* The nearest value of the dtype; of the integer types as `cast` has it. */
double retc_dtype_round(retc_dtype dtype, double value);

#endif
