/* Anchors of regions: recognised by fuse, sized by schedule, turned into loops by lower. */
#ifndef RETC_COMPILER_ANCHORS_H
#define RETC_COMPILER_ANCHORS_H

#include "backends/target.h"
#include "compiler/lower.h"
#include "ir/graph.h"

typedef struct retc_anchor {
  const char *name, *meaning;
  bool (*matches)(const retc_graph *graph, const retc_uses *uses, const retc_node *node);
  /* Adds the sizes that the loops need to a region whose anchor node is `node`; may be NULL. */
  void (*schedule)(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                   retc_region *region);
  /* Writes the loops of a region. */
  retc_status (*lower)(retc_lowering *lowering);
  /* The same for GPUs. */
  void (*gpu_schedule)(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                       retc_region *region);
  retc_status (*gpu_lower)(retc_lowering *lowering);
} retc_anchor;

size_t retc_anchor_count(void);
const retc_anchor *retc_anchor_at(size_t index);
const retc_anchor *retc_anchor_find(const char *name);
/* The anchor node of a region, or none. */
retc_value retc_anchor_node(const retc_graph *graph, retc_region_id region);
/* The same for somebody who asks for many regions. */
retc_value retc_anchor_member(const retc_graph *graph, const retc_members *members, const retc_uses *uses,
                              retc_region_id region);

#define RETC_ANCHOR_mapped(name)
#define RETC_ANCHOR_own(name) \
  void retc_gpu_##name##_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile, \
                                  retc_region *region); \
  retc_status retc_gpu_##name##_lower(retc_lowering *lowering);
#define RETC_ANCHOR(name, gpu, meaning) \
  bool retc_anchor_##name##_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node); \
  void retc_anchor_##name##_schedule(const retc_graph *graph, const retc_node *node, \
                                     const retc_target_profile *profile, retc_region *region); \
  retc_status retc_anchor_##name##_lower(retc_lowering *lowering); \
  RETC_ANCHOR_##gpu(name)
#include "compiler/anchors.def"
#undef RETC_ANCHOR
#undef RETC_ANCHOR_own
#undef RETC_ANCHOR_mapped

/* Whether the CPU's tiles (AMX) make the products of a node that the anchor `contract` matches. */
bool retc_contract_uses_tiles(const retc_node *node, const retc_target_profile *profile);
/* How a node that the anchor `contract` matches wants its weight to lie. */
retc_weight_layout retc_contract_layout(const retc_graph *graph, const retc_node *node);
/* Whether an axis of the node counts chunks. */
bool retc_is_on_grid(const retc_node *node);

/* Shared by schedules: appends name = value. */
void retc_schedule_set(retc_region *region, const char *name, int64_t value);
/* The value, or `fallback` when the region's schedule lacks it. */
int64_t retc_schedule_get(const retc_region *region, const char *name, int64_t fallback);

#endif
