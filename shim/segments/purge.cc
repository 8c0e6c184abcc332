#include "shim/segments/purge.h"

#include "accounting/base/errno_keeper.h"
#include "shim/base/os.h"
#include "shim/books/page_map.h"
#include "shim/heap/heap.h"
#include "shim/mimalloc/embed.h"
#include "shim/segments/held_pages.h"
#include "shim/segments/page_memory.h"
#include "shim/segments/slack.h"

namespace taskmem {

namespace {

// The free spans of one of a context's two kinds of segments.
void PurgeSpans(Context* context, mi_segments_tld_t* tld, bool force) {
  if (os::IsSealed()) return;
  for (size_t bin = 0; bin <= MI_SEGMENT_BIN_MAX; ++bin) {
    for (mi_slice_t* slice = tld->spans[bin].first; slice != nullptr; slice = slice->next) {
      mi_segment_t* segment = _mi_ptr_segment(slice);
      if (mi_commit_mask_is_empty(&segment->decommit_mask)) continue;
      DecommitFree(segment, force, tld->stats);
      CountSlack(context, segment);
    }
  }
}

}  // namespace

void PurgeContext(Context* context, bool force) {
  const ErrnoKeeper keeper;
  context->purge_epoch = g_purge_epoch.load(std::memory_order_relaxed);
  LetHeldPagesGo(context);
  PurgeSpans(context, &context->tld.segments, force);
  const bool is_clean = context->slack_bytes.load(std::memory_order_relaxed) == 0;
  context->purge_at_ns.store(is_clean ? 0 : os::MonotonicNs() + kDecayNs,
                             std::memory_order_relaxed);
}

void PurgeSegmentCache(bool force) {
  if (os::IsSealed()) return;
  const ErrnoKeeper keeper;
  LetKeptMemoryGo(/*all=*/force);
  PurgeCachedSegments(force);
}

void DropSegmentCache() {
  const ErrnoKeeper keeper;
  for (const bool large : {true, false}) {
    for (;;) {
      mi_commit_mask_t decommit_mask;
      size_t memory_id = 0;
      bool is_pinned = false;
      void* const segment = TakeCachedSegment(large, &decommit_mask, &memory_id, &is_pinned);
      if (segment == nullptr) break;
      g_slack_bytes.fetch_sub(DirtyBytes(decommit_mask), std::memory_order_relaxed);
      PageMap::Forget(segment);
      _mi_arena_free(segment, MI_SEGMENT_SIZE, MI_SEGMENT_ALIGN, 0, memory_id, is_pinned,
                     &_mi_stats_main);
    }
  }
}

}  // namespace taskmem
