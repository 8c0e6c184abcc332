#include "spill/reclaim/reclaim.h"

#include <initializer_list>

#include "accounting/base/format_text.h"
#include "accounting/base/size_text.h"

namespace taskmem {
namespace {

// What one request freed another may take before it is charged (SPARK-35486).
constexpr int kMaxRounds = 16;

constexpr const char* kStepNames[kReclaimSteps] = {"collect", "evict", "spill", "overflow", "wait"};

void Note(ReclaimReport* report, ReclaimStep step, uint64_t bytes) {
  ReclaimReport::Step& noted = (*report)[step];
  noted.was_tried = true;
  noted.bytes += bytes;
}

}  // namespace

bool Reclaim(ReclaimHost& host, ReclaimReport* report) {
  for (const CollectFrom from :
       {CollectFrom::kThisThread, CollectFrom::kEndedThreads, CollectFrom::kSleepingThreads}) {
    if (!host.MayCollect(from)) continue;
    Note(report, ReclaimStep::kCollect, host.Collect(from));
    // Whatever it gave: blocks may have become free that were charged all the time.
    if (host.TryAgain()) return true;
  }
  for (int round = 0; round < kMaxRounds; ++round) {
    uint64_t gained = 0;
    if (host.MayEvict()) {
      const uint64_t evicted = host.EvictBlocks();
      Note(report, ReclaimStep::kEvict, evicted);
      if (evicted != 0 && host.TryAgain()) return true;
      gained += evicted;
    }
    if (host.MaySpill()) {
      const uint64_t spilled = host.SpillConsumers();
      Note(report, ReclaimStep::kSpill, spilled);
      if (spilled != 0 && host.TryAgain()) return true;
      gained += spilled;
    }
    if (gained == 0) break;
  }
  if (host.MayOverflow()) {
    const uint64_t placed = host.TakeFromOverflow();
    Note(report, ReclaimStep::kOverflow, placed);
    if (placed != 0) return true;
  }
  if (host.MayWait()) {
    const uint64_t acquired = host.WaitForMemory();
    Note(report, ReclaimStep::kWait, acquired);
    if (acquired != 0 && host.TryAgain()) return true;
  }
  return false;
}

void ReclaimReport::Describe(char* text, size_t text_bytes) const {
  size_t used = 0;
  for (int i = 0; i < kReclaimSteps; ++i) {
    if (!steps[i].was_tried || used >= text_bytes) continue;
    const int length =
        FormatText(text + used, text_bytes - used, "%s%s %s", used == 0 ? "tried: " : ", ",
                   kStepNames[i], OwnSizeText(steps[i].bytes).c_str());
    if (length > 0) used += static_cast<size_t>(length);
  }
  if (used == 0) FormatText(text, text_bytes, "nothing could be tried");
}

}  // namespace taskmem
