#include "compiler/anchors.h"

#include <assert.h>
#include <string.h>

#define GPU_own(name) retc_gpu_##name##_schedule, retc_gpu_##name##_lower
#define GPU_mapped(name) retc_anchor_##name##_schedule, retc_anchor_##name##_lower
static const retc_anchor anchors[] = {
#define RETC_ANCHOR(name, gpu, meaning) \
  {#name, meaning, retc_anchor_##name##_matches, retc_anchor_##name##_schedule, retc_anchor_##name##_lower, \
   GPU_##gpu(name)},
#include "compiler/anchors.def"
#undef RETC_ANCHOR
};

size_t retc_anchor_count(void) { return sizeof anchors / sizeof anchors[0]; }

const retc_anchor *retc_anchor_at(size_t index) { return &anchors[index]; }

const retc_anchor *retc_anchor_find(const char *name) {
  for (size_t i = 0; i < retc_anchor_count(); i++) {
    if (!strcmp(anchors[i].name, name)) return &anchors[i];
  }
  return NULL;
}

/* A pointwise region is named by its last node: the root that the others feed. */
retc_value retc_anchor_member(const retc_graph *graph, const retc_members *members, const retc_uses *uses,
                              retc_region_id region) {
  const retc_anchor *anchor = retc_anchor_find(retc_graph_region(graph, region)->anchor);
  for (uint32_t m = members->starts[region.index + 1]; anchor && m-- > members->starts[region.index];) {
    const uint32_t i = members->nodes[m];
    if (anchor->matches(graph, uses, &graph->nodes.items[i])) return (retc_value){i};
  }
  return (retc_value){0};
}

retc_value retc_anchor_node(const retc_graph *graph, retc_region_id region) {
  retc_arena arena;
  retc_arena_init(&arena);
  const retc_members members = retc_graph_members(graph, &arena);
  const retc_uses uses = retc_graph_uses(graph, &arena);
  const retc_value node = retc_anchor_member(graph, &members, &uses, region);
  retc_arena_deinit(&arena);
  return node;
}

bool retc_is_on_grid(const retc_node *node) {
  const retc_shape *shape = &node->type.shape;
  for (int i = 0; i < shape->rank; i++) {
    if (shape->dim[i] == RETC_NAMED(N)) return true;
  }
  return false;
}

void retc_schedule_set(retc_region *region, const char *name, int64_t value) {
  assert(region->schedule_count < RETC_SCHEDULE_MAX);
  region->schedule[region->schedule_count].name = name;
  region->schedule[region->schedule_count++].value = value;
}

int64_t retc_schedule_get(const retc_region *region, const char *name, int64_t fallback) {
  for (int i = 0; i < region->schedule_count; i++) {
    if (!strcmp(region->schedule[i].name, name)) return region->schedule[i].value;
  }
  return fallback;
}
