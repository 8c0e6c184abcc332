#include "shim/spilling/reclaim_tables.h"

#include <cstddef>

#include "accounting/audit/reclaim_layout.h"
#include "shim/published/stats_segment.h"
#include "spill/memory/memory_entry.h"

namespace taskmem {
namespace {

// What readers take these for: they read them by their width.
static_assert(sizeof(SpillConsumer::id) == sizeof(uint64_t));
static_assert(sizeof(SpillConsumer::used) == sizeof(uint64_t));
static_assert(sizeof(SpillConsumer::task_key) == sizeof(uint64_t));
static_assert(sizeof(SpillConsumer::runs_on) == 1 && sizeof(SpillConsumer::call) == 1);
static_assert(static_cast<int>(SpillThread::kReclaimer) == 1);
static_assert(static_cast<int>(SpillConsumer::Call::kQueued) == 1);
static_assert(static_cast<int>(SpillConsumer::Call::kRunning) == 2);
static_assert(kSpillNameBytes <= kReclaimNameBytes);
static_assert(BlockId::kMaxNameBytes < kReclaimNameBytes);
static_assert(sizeof(MemoryEntry::size) == sizeof(int64_t));

// offsetof is for standard layouts only.
template <typename Member>
uint64_t OffsetOf(Member MemoryEntry::*member) {
  alignas(MemoryEntry) static const char place[sizeof(MemoryEntry)] = {};
  const auto* const entry = reinterpret_cast<const MemoryEntry*>(place);
  return static_cast<uint64_t>(reinterpret_cast<const char*>(&(entry->*member)) - place);
}

ReclaimLayout g_layout;

void Publish() {
  g_stats->reclaim_layout.store(reinterpret_cast<uint64_t>(&g_layout), std::memory_order_release);
}

}  // namespace

void PublishConsumers(const SpillHooks& hooks) {
  ConsumersLayout& layout = g_layout.consumers;
  using Places = StableArray<SpillConsumer>;
  layout.array_count = Places::kSegments;
  layout.first_entries = Places::kFirstSegment;
  layout.entry_bytes = sizeof(SpillConsumer);
  layout.id_at = offsetof(SpillConsumer, id);
  layout.used_at = offsetof(SpillConsumer, used);
  layout.task_at = offsetof(SpillConsumer, task_key);
  layout.name_at = offsetof(SpillConsumer, name);
  layout.thread_at = offsetof(SpillConsumer, runs_on);
  layout.call_at = offsetof(SpillConsumer, call);
  layout.arrays = reinterpret_cast<uint64_t>(hooks.consumer_arrays());
  Publish();
}

void PublishBlocks(const MemoryStore& blocks) {
  BlocksLayout& layout = g_layout.blocks;
  const BlockId id;
  const auto name_at = static_cast<uint64_t>(id.c_str() - reinterpret_cast<const char*>(&id));
  layout.entry_bytes = sizeof(MemoryEntry);
  layout.older_at = OffsetOf(&MemoryEntry::older);
  layout.size_at = OffsetOf(&MemoryEntry::size);
  layout.name_at = OffsetOf(&MemoryEntry::id) + name_at;
  layout.newest = reinterpret_cast<uint64_t>(blocks.newest_at());
  Publish();
}

}  // namespace taskmem
