/* Gives every region the sizes its loops are made with, from the target's profile. Results do not depend on them. It
 * stands after fuse, because the anchor decides what there is to choose. */
#include "compiler/anchors.h"
#include "compiler/pass.h"
#include "compiler/rewrite.h"

static const char *copy_text(retc_graph *graph, const char *text) {
  return text ? retc_arena_strdup(&graph->arena, text) : NULL;
}

static void copy_regions(const retc_graph *in, retc_graph *out) {
  for (uint32_t r = 1; r < in->regions.count; r++) {
    const retc_region *region = &in->regions.items[r];
    retc_region *copy = retc_graph_region_mutable(out, retc_graph_add_region(out, region->name, region->anchor));
    for (size_t i = 0; i < region->folded.count; i++) {
      RETC_VEC_PUSH(&out->arena, copy->folded, copy_text(out, region->folded.items[i]));
    }
    copy->notes = (retc_notes){copy_text(out, region->notes.comment), copy_text(out, region->notes.remark)};
    copy->end_comment = copy_text(out, region->end_comment);
  }
}

retc_status retc_schedule(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph) {
  retc_rewrite rw;
  retc_rewrite_init(&rw, in, cx->diagnostics);
  copy_regions(in, rw.builder.graph);
  for (uint32_t i = 1; i < in->nodes.count && rw.builder.status == RETC_OK; i++) {
    rw.builder.region = in->nodes.items[i].region;
    retc_rewrite_copy(&rw, i);
  }
  RETC_TRY(retc_rewrite_finish(&rw, out_graph));
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
