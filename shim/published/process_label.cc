#include "shim/published/process_label.h"

#include <cstring>

#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constexpr uint32_t kIndex = 1;
constexpr uint32_t kIsBeingSet = 2;

}  // namespace

bool SetProcessLabel(const char* label) {
  std::atomic<uint32_t>& state = g_stats->label_state;
  uint32_t before = state.load(std::memory_order_relaxed);
  if ((before & kIsBeingSet) != 0 ||
      !state.compare_exchange_strong(before, before | kIsBeingSet, std::memory_order_acquire)) {
    return false;
  }
  const uint32_t index = (before & kIndex) ^ kIndex;
  char(&to)[kLabelBytes] = g_stats->label[index];
  const size_t length = strnlen(label, sizeof(to) - 1);
  memset(to, 0, sizeof(to));
  memcpy(to, label, length);
  state.store(index, std::memory_order_release);
  return true;
}

const char* ProcessLabel() {
  return g_stats->label[g_stats->label_state.load(std::memory_order_acquire) & kIndex];
}

}  // namespace taskmem
