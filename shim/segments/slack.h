// Slack (books/slack.h) where it arises: what of a segment is free and in memory, as mimalloc's
// masks say, is counted for its context at each page that is taken or given back; and when memory
// is short.
//
// Whoever has the context may call; what is global is atomic.
#ifndef TASKMEM_SHIM_SEGMENTS_SLACK_H_
#define TASKMEM_SHIM_SEGMENTS_SLACK_H_

#include <atomic>
#include <cstdint>

#include "shim/books/slack.h"
#include "shim/contexts/context.h"
#include "shim/mimalloc/types.h"

namespace taskmem {

// Slack that no one but threads that run could have given back, when that was last tried.
extern std::atomic<int64_t> g_excused_slack_bytes;
// Raised where memory is short: each thread gives its own slack back at its next slow path.
extern std::atomic<uint32_t> g_purge_epoch;
// Until then what becomes free is given back at once; 0: it is not.
extern std::atomic<uint64_t> g_short_until_ns;
// The processor counts bits in one instruction (OpenSlack).
extern bool g_counts_fast;

// How long memory is kept that became free.
inline constexpr uint64_t kDecayNs = 1'000'000'000;

// At the start, before any slack is counted.
void OpenSlack();

__attribute__((always_inline)) inline int64_t DirtyBytes(const mi_commit_mask_t& mask) {
  int64_t pieces = 0;
#pragma GCC unroll 8
  for (size_t i = 0; i < MI_COMMIT_MASK_FIELD_COUNT; ++i) {
    pieces += __builtin_popcountll(mask.mask[i]);
  }
  return pieces * static_cast<int64_t>(MI_COMMIT_SIZE);
}

// What of the segment has been counted. mimalloc's field is for abandoned segments, which there
// are none of.
inline size_t& CountedOf(mi_segment_t* segment) { return segment->abandoned_visits; }

__attribute__((always_inline)) inline void AddSlack(Context* context, int64_t bytes) {
  if (bytes == 0) return;
  g_slack_bytes.fetch_add(bytes, std::memory_order_relaxed);
  context->slack_bytes.store(context->slack_bytes.load(std::memory_order_relaxed) + bytes,
                             std::memory_order_relaxed);
}

inline Context* ContextOf(const mi_segment_t* segment) {
  return reinterpret_cast<Context*>(segment->thread_id.load(std::memory_order_relaxed));
}

void CountSlackAnywhere(Context* context, mi_segment_t* segment);
void CountSlackFast(Context* context, mi_segment_t* segment);

// The masks of the segment may have changed: at each page that is taken or given back.
inline void CountSlack(Context* context, mi_segment_t* segment) {
  g_counts_fast ? CountSlackFast(context, segment) : CountSlackAnywhere(context, segment);
}

// Something has become free: it is looked at later.
void NotePurgeDue(Context* context);

void BeginShortage(uint64_t now);

void EndShortageIfDue(uint64_t now);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SEGMENTS_SLACK_H_
