#include "tools/remote/reclaim_tables.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <type_traits>

#include "accounting/audit/reclaim_layout.h"

namespace taskmem {
namespace {

constexpr uint64_t kMostEntryBytes = 4096;

// An entry as it was read.
class Entry {
 public:
  Entry(const char* bytes, uint64_t size) : bytes_(bytes), size_(size) {}

  // 0 where that is not in it.
  template <typename T>
  T Get(uint64_t at) const {
    T value = 0;
    if (sizeof(T) <= size_ && at <= size_ - sizeof(T)) memcpy(&value, bytes_ + at, sizeof(T));
    return value;
  }
  std::string Text(uint64_t at) const {
    if (at >= size_) return "";
    return {bytes_ + at, strnlen(bytes_ + at, std::min(kReclaimNameBytes, size_ - at))};
  }

 private:
  const char* const bytes_;
  const uint64_t size_;
};

void ReadConsumers(const RemoteMemory& memory, const ConsumersLayout& layout,
                   ReclaimTables* tables) {
  constexpr uint64_t kMostArrays = 32;
  constexpr uint64_t kMostFirst = 4096;
  constexpr uint64_t kUsedBits = 48;
  if (layout.arrays == 0 || layout.array_count > kMostArrays || layout.first_entries > kMostFirst ||
      layout.entry_bytes > kMostEntryBytes) {
    return;
  }
  uint64_t entries = layout.first_entries;
  for (const uint64_t array : memory.ReadArray<uint64_t>(layout.arrays, layout.array_count)) {
    if (array == 0) return;
    // Those that are larger than can be read hold more than are shown.
    const auto read = [&] { return memory.ReadArray<char>(array, entries * layout.entry_bytes); };
    const std::vector<char> bytes = read();
    const std::vector<char> again = read();
    if (bytes.empty() || bytes.size() != again.size()) {
      tables->has_more = true;
      return;
    }
    for (uint64_t i = 0; i < entries; ++i) {
      const Entry entry(bytes.data() + i * layout.entry_bytes, layout.entry_bytes);
      const Entry after(again.data() + i * layout.entry_bytes, layout.entry_bytes);
      const auto id = entry.Get<uint64_t>(layout.id_at);
      if (id == 0 || id != after.Get<uint64_t>(layout.id_at)) continue;
      if (tables->consumers.size() == kMostConsumers) {
        tables->has_more = true;
        return;
      }
      RemoteConsumer& consumer = tables->consumers.emplace_back();
      consumer.slot = static_cast<uint32_t>(entry.Get<uint64_t>(layout.task_at));
      consumer.name = entry.Text(layout.name_at);
      consumer.used_bytes = entry.Get<uint64_t>(layout.used_at) & ((uint64_t{1} << kUsedBits) - 1);
      consumer.has_own_thread = entry.Get<uint8_t>(layout.thread_at) == 1;
      consumer.is_queued = entry.Get<uint8_t>(layout.call_at) == 1;
      consumer.is_running = entry.Get<uint8_t>(layout.call_at) == 2;
    }
    entries *= 2;
  }
}

// A block that is used meanwhile comes anew, or ends the list at another place: once each is
// enough, and none is followed for ever.
void ReadBlocks(const RemoteMemory& memory, const BlocksLayout& layout, ReclaimTables* tables) {
  if (layout.newest == 0 || layout.entry_bytes == 0 || layout.entry_bytes > kMostEntryBytes) return;
  uint64_t at = memory.Read<uint64_t>(layout.newest).value_or(0);
  while (at != 0) {
    if (tables->blocks.size() == kMostBlocks) {
      tables->has_more = true;
      return;
    }
    std::vector<char> bytes = memory.ReadArray<char>(at, layout.entry_bytes);
    if (bytes.empty()) return;
    const Entry entry(bytes.data(), bytes.size());
    const auto size = entry.Get<int64_t>(layout.size_at);
    tables->blocks.push_back(
        {entry.Text(layout.name_at), static_cast<uint64_t>(std::max<int64_t>(size, 0))});
    at = entry.Get<uint64_t>(layout.older_at);
  }
}

}  // namespace

ReclaimTables ReadReclaimTables(const RemoteMemory& memory, uint64_t address) {
  static_assert(std::is_trivially_copyable_v<ReclaimLayout>);
  ReclaimTables tables;
  const auto layout = address != 0 ? memory.Read<ReclaimLayout>(address) : std::nullopt;
  if (!layout) return tables;
  ReadConsumers(memory, layout->consumers, &tables);
  ReadBlocks(memory, layout->blocks, &tables);
  return tables;
}

}  // namespace taskmem
