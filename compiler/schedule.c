/* Gives every region the sizes its loops are made with, from the target's profile. Results do not depend on them. It
 * stands after fuse, because the anchor decides what there is to choose. */
#include "compiler/anchors.h"
#include "compiler/pass.h"

retc_status retc_schedule(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph) {
  *out_graph = retc_graph_copy(in);
  retc_arena arena;
  retc_arena_init(&arena);
  const retc_members members = retc_graph_members(*out_graph, &arena);
  const retc_uses uses = retc_graph_uses(*out_graph, &arena);
  for (uint32_t r = 1; r < in->regions.count; r++) {
    retc_value node = retc_anchor_member(*out_graph, &members, &uses, (retc_region_id){r});
    const retc_anchor *anchor = retc_anchor_find(in->regions.items[r].anchor);
    if (!node.index || !anchor) continue; /* lower says what is wrong with it */
    const retc_target_profile *profile = &cx->compilation->profile;
    retc_region *region = retc_graph_region_mutable(*out_graph, (retc_region_id){r});
    (profile->wave ? anchor->gpu_schedule : anchor->schedule)(*out_graph, retc_graph_node(*out_graph, node), profile,
                                                              region);
  }
  retc_arena_deinit(&arena);
  return RETC_OK;
}
