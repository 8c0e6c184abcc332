// Audits of a process whose published layout and tables are damaged anywhere: the page map, page
// headers, owners of blocks, threads, own ranges, mappings, libraries, sites, and a JVM's
// description of itself.
//
// An input is a list of changes to a small process made up here: 16 bytes each, where and what.
#include <elf.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "accounting/audit/site_table.h"
#include "accounting/mappings/mapping_tag.h"
#include "accounting/tasks/task_book.h"
#include "shim/books/page_map.h"
#include "tests/support/fuzz_driver.h"
#include "tools/audit/audit.h"
#include "tools/audit_report/audit_report.h"
#include "tools/remote/audit_layout_check.h"
#include "tools/sites/named_sites.h"

namespace taskmem {
namespace {

constexpr uint64_t kSegmentShift = 25;
constexpr uint64_t kSegment = 0x7f0000000000;  // where the allocator has a segment ...
constexpr uint64_t kSegmentBytes = 1 << kSegmentShift;
constexpr uint64_t kModule = 0x7f1000000000;
constexpr uint64_t kModuleBytes = 0x10000;
constexpr uint64_t kStack = 0x7f2000001000;
constexpr uint64_t kStackBytes = 0x20000;
constexpr uint64_t kMapped = 0x7f3000000000;  // ... and the program mappings
constexpr uint64_t kTables = 0x550000000000;
constexpr uint64_t kSliceBytes = 96;

// Memory in pieces at addresses of our choice.
class MadeMemory : public RemoteMemory {
 public:
  MadeMemory() = default;
  using RemoteMemory::RestartTime;

  std::vector<char>& Add(uint64_t address, size_t bytes) {
    return pieces_.try_emplace(address, bytes).first->second;
  }
  template <typename T>
  void Put(uint64_t address, const T& value) {
    auto piece = std::prev(pieces_.upper_bound(address));
    memcpy(piece->second.data() + (address - piece->first), &value, sizeof(value));
  }
  std::map<uint64_t, std::vector<char>>& pieces() { return pieces_; }

 protected:
  size_t CopyMemory(uint64_t address, void* to, size_t bytes) const override {
    auto piece = pieces_.upper_bound(address);
    if (piece == pieces_.begin()) return 0;
    --piece;
    const uint64_t at = address - piece->first;
    if (at > piece->second.size() || bytes > piece->second.size() - at) return 0;
    memcpy(to, piece->second.data() + at, bytes);
    return bytes;
  }
  size_t CopyPagemap(uint64_t page, uint64_t* entries, size_t count) const override {
    for (size_t i = 0; i < count; ++i) {
      const bool is_present = (page + i) % 5 != 0;
      entries[i] = is_present ? uint64_t{1} << 63 | (page + i) % 2 << 56 : 0;
    }
    return count;
  }

 private:
  std::map<uint64_t, std::vector<char>> pieces_;
};

// Tables one after the other.
class Tables {
 public:
  explicit Tables(MadeMemory* memory) : memory_(memory) {}
  uint64_t Add(size_t bytes) {
    const uint64_t address = next_;
    memory_->Add(address, bytes);
    next_ += (bytes + 4095) / 4096 * 4096 + 4096;
    return address;
  }
  template <typename T>
  uint64_t AddValue(const T& value) {
    const uint64_t address = Add(sizeof(value));
    memory_->Put(address, value);
    return address;
  }

 private:
  MadeMemory* memory_;
  uint64_t next_ = kTables;
};

struct MadeProcess {
  ProcessBooks books;
  MadeMemory memory;
  std::vector<MemoryRange> ranges;
};

void MakePages(MadeProcess* process, Tables* tables) {
  AuditLayout& layout = process->books.layout;
  MadeMemory& memory = process->memory;
  const uint64_t slice = kSegment >> PageMap::kSliceShift;
  const uint64_t leaf = tables->Add(PageMap::kLeafEntries * sizeof(uint64_t));
  const uint64_t root = tables->Add(4096);
  layout.page_map_root = root - (slice >> PageMap::kLeafShift) * sizeof(uint64_t);
  memory.Put(root, leaf);
  // A huge block behind the segment.
  constexpr uint64_t kWindow = (kSegment >> PageMap::kWindowShift) + 1;
  const uint64_t huge_leaf = tables->Add(PageMap::kLeafEntries * sizeof(uint64_t));
  layout.huge_map_root = tables->Add(PageMap::kHugeRootEntries * sizeof(uint64_t));
  memory.Put(layout.huge_map_root + (kWindow >> PageMap::kLeafShift) * sizeof(uint64_t), huge_leaf);
  memory.Put(huge_leaf + (kWindow & (PageMap::kLeafEntries - 1)) * sizeof(uint64_t),
             PageMap::Large(5, 40'000'000));
  constexpr uint32_t kBlocks = 200;
  layout.owners_start_at = 0;
  layout.owners_block_at = 8;
  layout.owners_blocks_at = 12;
  layout.owners_lease_at = 16;
  layout.owners_array_at = 20;
  const uint64_t owners = tables->Add(20 + kBlocks * sizeof(uint16_t));
  memory.Put(owners, kSegment + (2 << PageMap::kSliceShift));
  memory.Put(owners + 8, uint32_t{320});
  memory.Put(owners + 12, kBlocks);
  memory.Put(owners + 16, uint32_t{3});
  for (uint32_t i = 0; i < kBlocks; i += 2) {
    const auto mark = static_cast<uint16_t>(i % 9 == 0 ? kMaxTaskSlots + 1 : 1 + i % 7);
    memory.Put(owners + 20 + i * 2, mark);
  }
  const uint64_t entries[] = {0,
                              PageMap::Owned(5),
                              owners | PageMap::kShared,
                              PageMap::Large(6, 100'000),
                              PageMap::Mark(1),
                              PageMap::Owned(0)};
  for (size_t i = 0; i < std::size(entries); ++i) {
    memory.Put(leaf + ((slice + i) % PageMap::kLeafEntries) * sizeof(uint64_t), entries[i]);
  }
  layout.segment_shift = kSegmentShift;
  const uint64_t map = tables->Add(64);
  layout.segment_map = map - (kSegment >> kSegmentShift) * sizeof(uint32_t);
  memory.Put(map, uint32_t{1});
  layout.slices_offset = 264;
  layout.slice_bytes = kSliceBytes;
  layout.slice_offset_at = 4;
  layout.slice_capacity_at = 10;
  layout.slice_block_at = 28;
  layout.small_page_start = 48;
  layout.small_block_bytes = 1024;
  const uint64_t headers = kSegment + layout.slices_offset;
  memory.Add(headers, kSegmentBytes / 65536 * kSliceBytes);
  for (uint64_t i = 1; i < 6; ++i) {
    memory.Put(headers + i * kSliceBytes + 10, uint16_t{100});
    memory.Put(headers + i * kSliceBytes + 28, uint32_t{512});
  }
  layout.cache_slots = 4;
  layout.cache_slot_bytes = 40;
  layout.cache_pointer_at = 8;
  layout.cache = tables->Add(160);
  memory.Put(layout.cache + 48, kSegment + kSegmentBytes);
  layout.kept_slots = 2;
  layout.kept_segments = tables->Add(16);
  memory.Put(layout.kept_segments + 8,
             KeptSegment{kSegment + 2 * kSegmentBytes, kSegmentBytes, 1}.Packed());
}

void MakeThreads(MadeProcess* process, Tables* tables) {
  AuditLayout& layout = process->books.layout;
  const uint64_t context = tables->Add(64);
  process->memory.Put(context + 8, int32_t{77});
  process->memory.Put(context + 16, kStack + kStackBytes - 0x1000);
  layout.contexts = tables->AddValue(context);
  layout.context_count = tables->AddValue(uint32_t{1});
  layout.context_tid_at = 8;
  layout.context_stack_top_at = 16;
  const uint64_t own[] = {kTables, kTables + 0x5000, kSegment, 0};
  layout.own_ranges = tables->AddValue(own);
  layout.own_range_count = tables->AddValue(uint32_t{2});
}

void MakeMappings(MadeProcess* process, Tables* tables) {
  AuditLayout& layout = process->books.layout;
  MadeMemory& memory = process->memory;
  constexpr uint32_t kRegions = 6;
  layout.mappings = {.map = 0,
                     .directory_at = 0,
                     .chunk_count_at = 8,
                     .entry_bytes = 16,
                     .entry_chunk_at = 8,
                     .region_count_at = 0,
                     .regions_at = 16};
  const uint64_t chunk = tables->Add(16 + kRegions * 24);
  memory.Put(chunk, kRegions);
  for (uint32_t i = 0; i < kRegions; ++i) {
    MappingTag tag;
    tag.slot = i % 3 + 4;
    tag.library = i % 3;
    tag.rule = static_cast<ChargeRule>(i % 4);
    tag.site = i % 2 + 1;
    const uint64_t start = kMapped + i * 0x20000;
    const uint64_t region[] = {start, start + 0x10000, tag.Pack()};
    memory.Put(chunk + 16 + i * 24, region);
  }
  const uint64_t entry[] = {kMapped, chunk};
  const uint64_t map[] = {tables->AddValue(entry), 1};
  layout.mappings.map = tables->AddValue(map);
  constexpr size_t kLibraryBytes = 40;
  layout.library_bytes = kLibraryBytes;
  layout.library_name_bytes = 32;
  layout.library_allocator_at = 32;
  layout.libraries = tables->Add(3 * kLibraryBytes);
  layout.library_count = tables->AddValue(uint32_t{3});
  for (size_t i = 0; i < 3; ++i) {
    const char name[32] = "jemalloc in liba.so";
    memory.Put(layout.libraries + i * kLibraryBytes, name);
    memory.Put(layout.libraries + i * kLibraryBytes + 32,
               i == 2 ? Allocator::kJvm : Allocator::kNone);
  }
}

void MakeSites(MadeProcess* process, Tables* tables) {
  struct {
    uint64_t interval, levels[kSampleLevels], index, stacks, lost_samples, lost_bytes;
  } head = {};
  static_assert(sizeof(head) == sizeof(SiteTableHead));
  MadeMemory& memory = process->memory;
  const uint64_t stack = tables->Add(sizeof(SiteStack) + 4 * 8);
  memory.Put(stack + offsetof(SiteStack, depth), uint32_t{4});
  memory.Put(stack + offsetof(SiteStack, number), uint32_t{1});
  for (uint64_t i = 0; i < 4; ++i) {
    memory.Put(stack + sizeof(SiteStack) + i * 8, kModule + 0x100 * i + 1);
  }
  head.interval = 512 << 10;
  head.levels[0] = tables->Add(SampleLevelSize(0) * sizeof(SiteSample));
  head.index = tables->Add(kSiteIndexSize * sizeof(uint64_t));
  memory.Put(head.index, stack);
  memory.Put(head.index + 8, stack);
  for (uint64_t i = 0; i < 8; ++i) {
    const uint64_t block = kSegment + (2 << PageMap::kSliceShift) + i * 640;
    const uint64_t sample[] = {block, stack + i % 2, 300, 512 << 10};
    memory.Put(head.levels[0] + i * sizeof(sample), sample);
  }
  const uint64_t large[] = {kSegment + (3 << PageMap::kSliceShift), stack, 100'000, 600'000};
  memory.Put(head.levels[0] + 8 * sizeof(large), large);
  process->books.layout.sites = tables->AddValue(head);
}

// A libjvm.so that describes itself.
void MakeModule(MadeProcess* process, Tables* tables) {
  MadeMemory& memory = process->memory;
  memory.Add(kModule, kModuleBytes);
  Elf64_Ehdr header = {};
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 2;
  header.e_phoff = sizeof(header);
  memory.Put(kModule, header);
  Elf64_Phdr parts[2] = {};
  parts[0].p_type = PT_LOAD;
  parts[0].p_memsz = kModuleBytes;
  parts[1].p_type = PT_DYNAMIC;
  parts[1].p_vaddr = 0x1000;
  parts[1].p_memsz = 3 * sizeof(Elf64_Dyn);
  memory.Put(kModule + sizeof(header), parts);
  Elf64_Dyn dynamic[3] = {};
  dynamic[0] = {DT_SYMTAB, {kModule + 0x2000}};
  dynamic[1] = {DT_STRTAB, {kModule + 0x3000}};
  dynamic[2] = {DT_STRSZ, {0x400}};
  memory.Put(kModule + 0x1000, dynamic);
  const uint64_t entry[] = {kModule + 0x5000, kModule + 0x5020, 8, kModule + 0x6000};
  const char type[32] = "CodeCache";
  const char field[32] = "_low_bound";
  memory.Put(kModule + 0x5000, type);
  memory.Put(kModule + 0x5020, field);
  const uint64_t values[] = {tables->AddValue(entry), 32, 0, 8, 16, 24};
  const char* const names[] = {"gHotSpotVMStructs",
                               "gHotSpotVMStructEntryArrayStride",
                               "gHotSpotVMStructEntryTypeNameOffset",
                               "gHotSpotVMStructEntryFieldNameOffset",
                               "gHotSpotVMStructEntryOffsetOffset",
                               "gHotSpotVMStructEntryAddressOffset"};
  uint32_t at = 1;
  for (size_t i = 0; i < std::size(names); ++i) {
    Elf64_Sym symbol = {};
    symbol.st_name = at;
    symbol.st_shndx = 1;
    symbol.st_value = 0x4000 + i * 8;
    memory.Put(kModule + 0x2000 + i * sizeof(symbol), symbol);
    memory.Put(kModule + 0x4000 + i * 8, values[i]);
    memcpy(memory.pieces()[kModule].data() + 0x3000 + at, names[i], strlen(names[i]) + 1);
    at += static_cast<uint32_t>(strlen(names[i])) + 1;
  }
  memory.Put(kModule + 0x6000, kMapped + 0x40000);
}

void AddRange(MadeProcess* process, uint64_t start, uint64_t bytes, const char* name,
              bool is_readable) {
  MemoryRange& range = process->ranges.emplace_back();
  range.start = start;
  range.end = start + bytes;
  range.readable = range.writable = is_readable;
  range.executable = name[0] != '\0';
  range.inode = name[0] != '\0' ? 7 : 0;
  range.resident_bytes = is_readable ? bytes / 4096 / 2 * 4096 : 0;
  range.name = name;
}

MadeProcess* Make() {
  auto* process = new MadeProcess;  // for the life of this process
  Tables tables(&process->memory);
  process->books.program = "/usr/bin/program";
  process->books.pid = 77;
  process->books.path = "/dev/shm/taskmem-0/77-1";
  for (uint64_t slot = 0; slot < 8; ++slot) {
    process->books.slots.push_back({slot, "task", slot % 2 == 0, slot * 1000});
  }
  MakePages(process, &tables);
  MakeThreads(process, &tables);
  MakeMappings(process, &tables);
  MakeSites(process, &tables);
  MakeModule(process, &tables);
  process->books.layout.version = kAuditVersion;
  AddRange(process, kTables, 4 << 20, "", true);
  AddRange(process, kSegment, kSegmentBytes, "", true);
  AddRange(process, kModule, kModuleBytes, "/usr/lib/\x1b\xc2\x9blibjvm.so", true);
  process->ranges.back().name = "/usr/\x1b\xc2\x9blib/libjvm.so";
  AddRange(process, kStack - 0x1000, 0x1000, "", false);
  AddRange(process, kStack, kStackBytes, "", true);
  AddRange(process, kMapped, 0x100000, "", true);
  AddRange(process, 0xffffffffff600000, 0x1000, "[vsyscall]", true);
  return process;
}

struct Change {
  uint64_t where;
  uint64_t what;
};

struct Undo {
  char* at;
  uint64_t old;
};

// The word that a change is about: of the layout, or of a piece, most often near its begin.
char* PlaceOf(MadeProcess* process, uint64_t where) {
  if (where % 4 == 0) {
    constexpr uint64_t kWords = sizeof(AuditLayout) / sizeof(uint64_t);
    return reinterpret_cast<char*>(&process->books.layout) + where / 4 % kWords * 8;
  }
  auto& pieces = process->memory.pieces();
  auto piece = std::next(pieces.begin(), static_cast<std::ptrdiff_t>(where / 4 % pieces.size()));
  if (piece->second.size() < sizeof(uint64_t)) return nullptr;
  uint64_t most = piece->second.size() - sizeof(uint64_t) + 1;
  if (where % 4 != 3) most = std::min<uint64_t>(most, 512);
  return piece->second.data() + where / 4 / pieces.size() % most;
}

void CheckSums(const Audit& audit) {
  uint64_t classes = 0;
  for (const uint64_t bytes : audit.classes) classes += bytes;
  uint64_t kinds = 0;
  for (const auto& [key, bytes] : audit.kinds) kinds += bytes;
  uint64_t pages = 0;
  for (const TaskAudit& task : audit.tasks) pages += task.page_bytes;
  FUZZ_CHECK(classes == audit.resident_bytes && kinds == audit.resident_bytes);
  FUZZ_CHECK(pages == audit.Bytes(LedgerClass::kTaskPages));
}

void CheckReports(const Audit& audit) {
  const std::vector<NamedSite> sites = NameSites(audit, SIZE_MAX, ModulesOfReturnAddresses);
  FUZZ_CHECK(IsPrintableText(FormatAudit(audit, sites)));
  FUZZ_CHECK(IsPrintableText(FormatAudit(audit, SitesByModule(sites))));
  FUZZ_CHECK(IsPrintableText(FormatCollapsed(sites)));
  const std::string json =
      AuditJson(audit, sites).dump(2, ' ', true, nlohmann::json::error_handler_t::replace);
  FUZZ_CHECK(IsPrintableText(json) && nlohmann::json::accept(json));
  FUZZ_CHECK(!FormatPprof(audit, sites).empty());
}

// Undamaged it has something of everything.
void CheckWhole(const Audit& audit) {
  for (const LedgerClass ledger_class :
       {LedgerClass::kTaskPages, LedgerClass::kUntrackedPages, LedgerClass::kAllocatorSlack,
        LedgerClass::kTaskMappings, LedgerClass::kThreadStacks, LedgerClass::kImages,
        LedgerClass::kManagedHeap, LedgerClass::kOwn}) {
    FUZZ_CHECK(audit.Bytes(ledger_class) > 0);
  }
  for (const TaskAudit& task : audit.tasks) {
    uint64_t bytes = 0;
    for (const auto& [block_bytes, resident_bytes] : task.sizes) bytes += resident_bytes;
    FUZZ_CHECK(bytes == task.page_bytes);
  }
  FUZZ_CHECK(audit.sites.sites.size() > 1 && audit.sites.sites[0].frames.size() == 4);
  FUZZ_CHECK(audit.modules.size() == 1 && !audit.is_cut_short);
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds = {"", std::string(16, '\0')};
  // Each word of the layout with numbers that are wrong, and pairs of changes elsewhere.
  for (uint64_t word = 0; word < sizeof(AuditLayout) / sizeof(uint64_t); ++word) {
    for (const uint64_t what : {uint64_t{0}, uint64_t{1}, UINT64_MAX, kSegment}) {
      const Change changes[] = {{word * 4, what}, {word * 28 + 1, UINT64_MAX}};
      seeds.emplace_back(reinterpret_cast<const char*>(changes), sizeof(changes));
    }
  }
  return seeds;
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace taskmem;
  static MadeProcess* const process = Make();
  std::vector<Undo> undos;
  for (; bytes >= sizeof(Change) && undos.size() < 64; data += 16, bytes -= 16) {
    Change change;
    memcpy(&change, data, sizeof(change));
    Undo undo = {PlaceOf(process, change.where), 0};
    if (undo.at == nullptr) continue;
    memcpy(&undo.old, undo.at, sizeof(undo.old));
    memcpy(undo.at, &change.what, sizeof(change.what));
    undos.push_back(undo);
  }
  process->memory.RestartTime();
  if (IsPlausible(process->books.layout)) {
    const MappedRanges mapped = ReadMappedRanges(process->memory, process->books.layout);
    const Audit audit = AuditMemory(process->books, mapped, process->ranges, process->memory);
    CheckSums(audit);
    CheckReports(audit);
    if (undos.empty()) CheckWhole(audit);
  }
  for (size_t i = undos.size(); i-- > 0;) memcpy(undos[i].at, &undos[i].old, sizeof(uint64_t));
  return 0;
}
