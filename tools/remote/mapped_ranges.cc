#include "tools/remote/mapped_ranges.h"

#include <algorithm>
#include <cstring>

#include "tools/remote/audit_layout_check.h"

namespace taskmem {
namespace {

// Region (accounting/mappings/region_map.h).
struct Row {
  uint64_t start;
  uint64_t end;
  uint64_t tag;

  bool operator==(const Row&) const = default;
};

constexpr int kMostReadings = 8;

std::vector<Row> ReadRows(const RemoteMemory& memory, const RegionMapLayout& layout) {
  constexpr uint32_t kMostChunks = 1 << 16;
  constexpr uint32_t kMostRegions = 4096;  // of a chunk
  constexpr size_t kMostRows = 1 << 20;
  std::vector<Row> rows;
  const auto directory = memory.Read<uint64_t>(layout.map + layout.directory_at);
  const auto chunks = memory.Read<uint32_t>(layout.map + layout.chunk_count_at);
  if (!directory || !chunks || *chunks > kMostChunks) return rows;
  const auto entries = memory.ReadArray<unsigned char>(*directory, *chunks * layout.entry_bytes);
  for (size_t at = 0; at + layout.entry_bytes <= entries.size(); at += layout.entry_bytes) {
    uint64_t chunk = 0;
    memcpy(&chunk, &entries[at + layout.entry_chunk_at], sizeof(chunk));
    const uint32_t count = memory.Read<uint32_t>(chunk + layout.region_count_at).value_or(0);
    if (count > kMostRegions) continue;
    if (rows.size() + count > kMostRows || memory.IsTimeUp()) break;
    const auto regions = memory.ReadArray<Row>(chunk + layout.regions_at, count);
    rows.insert(rows.end(), regions.begin(), regions.end());
  }
  return rows;
}

std::vector<MappingLibrary> ReadLibraries(const RemoteMemory& memory, const AuditLayout& layout) {
  const uint32_t count = memory.Read<uint32_t>(layout.library_count).value_or(0);
  const auto bytes = memory.ReadArray<char>(
      layout.libraries, std::min(count, MappingTag::kMaxLibraries) * layout.library_bytes);
  std::vector<MappingLibrary> libraries;
  for (size_t at = 0; at + layout.library_bytes <= bytes.size(); at += layout.library_bytes) {
    MappingLibrary& library = libraries.emplace_back();
    library.name.assign(&bytes[at], strnlen(&bytes[at], layout.library_name_bytes));
    const auto allocator = static_cast<unsigned char>(bytes[at + layout.library_allocator_at]);
    if (allocator < kAllocators) library.allocator = static_cast<Allocator>(allocator);
  }
  return libraries;
}

}  // namespace

const MappingLibrary& MappedRanges::LibraryOf(const MappingTag& tag) const {
  static const MappingLibrary kNotKnown;
  return tag.library < libraries.size() && !libraries[tag.library].name.empty()
             ? libraries[tag.library]
             : kNotKnown;
}

MappedRanges ReadMappedRanges(const RemoteMemory& memory, const AuditLayout& layout) {
  MappedRanges mapped;
  if (layout.mappings.map == 0 || !IsPlausible(layout.mappings) || !HasPlausibleLibraries(layout)) {
    return mapped;
  }
  std::vector<Row> rows = ReadRows(memory, layout.mappings);
  for (int i = 1; i < kMostReadings; ++i) {
    std::vector<Row> again = ReadRows(memory, layout.mappings);
    const bool agree = again == rows;
    rows = std::move(again);
    if (agree) break;
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.start < b.start; });
  uint64_t end = 0;
  for (const Row& row : rows) {
    const uint64_t start = std::max(row.start, end);
    if (start >= row.end || row.end > RemoteMemory::kAddressEnd) continue;
    if (row.start % kPageBytes != 0 || row.end % kPageBytes != 0) continue;
    mapped.ranges.push_back({start, row.end, MappingTag::Unpack(row.tag)});
    end = row.end;
  }
  // After the ranges: whoever is named by one of them is there.
  mapped.libraries = ReadLibraries(memory, layout);
  return mapped;
}

}  // namespace taskmem
