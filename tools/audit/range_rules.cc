#include "tools/audit/range_rules.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace taskmem {
namespace {

const MemoryRange& At(const ProcessFacts& facts, size_t index) { return (*facts.ranges)[index]; }

bool IsAnonymous(const MemoryRange& range) {
  return range.inode == 0 && !range.shared &&
         (range.name.empty() || range.name.starts_with("[anon:"));
}

const Module* ModuleOf(const ProcessFacts& facts, size_t index) {
  return FindModule(*facts.modules, At(facts, index).start);
}

bool IsStack(const ProcessFacts& facts, size_t index) {
  return At(facts, index).name.starts_with("[stack");
}

bool IsKernelCode(const ProcessFacts& facts, size_t index) {
  const std::string& name = At(facts, index).name;
  return name == "[vdso]" || name.starts_with("[vvar") || name == "[vsyscall]" ||
         name == "[uprobes]";
}

bool IsStatsFile(const ProcessFacts& facts, size_t index) {
  return !facts.stats_file.empty() && At(facts, index).name == facts.stats_file;
}

bool IsTaskmemImage(const ProcessFacts& facts, size_t index) {
  const Module* module = ModuleOf(facts, index);
  return module != nullptr && IsPreloadLibrary(module->Name());
}

bool IsImage(const ProcessFacts& facts, size_t index) { return ModuleOf(facts, index) != nullptr; }

bool IsBrk(const ProcessFacts& facts, size_t index) { return At(facts, index).name == "[heap]"; }

constexpr std::string_view kDeleted = " (deleted)";

bool IsMemfd(const ProcessFacts& facts, size_t index) {
  return At(facts, index).name.starts_with("/memfd:");
}

bool IsJavaMemfd(const ProcessFacts& facts, size_t index) {
  return At(facts, index).name.starts_with("/memfd:java_heap");
}

bool IsSharedMemory(const ProcessFacts& facts, size_t index) {
  const std::string& name = At(facts, index).name;
  return name.starts_with("/SYSV") || name.starts_with("/dev/zero") ||
         name.starts_with("/dev/shm/") || name == "[anon_shmem]" ||
         name.starts_with("[anon_shmem:");
}

// The overflow file is unlinked as soon as it is made, and mapped shared.
bool IsOverflowFile(const ProcessFacts& facts, size_t index) {
  const MemoryRange& range = At(facts, index);
  return range.shared && range.writable && range.name.ends_with(kDeleted) &&
         range.name.find("taskmem") != std::string::npos;
}

bool IsDeletedFile(const ProcessFacts& facts, size_t index) {
  const MemoryRange& range = At(facts, index);
  return range.inode != 0 && range.name.ends_with(kDeleted);
}

bool IsFile(const ProcessFacts& facts, size_t index) { return At(facts, index).inode != 0; }

// What the loader took for itself and for the main thread's local data lies between the
// libraries that it was mapping, with other small ranges.
bool IsLoaderData(const ProcessFacts& facts, size_t index) {
  constexpr uint64_t kMostBytes = 64 * 1024;
  constexpr uint64_t kMostBetweenBytes = 2 << 20;
  constexpr size_t kMostBetween = 4;
  const std::vector<MemoryRange>& ranges = *facts.ranges;
  const auto is_small = [&](size_t at, uint64_t most) {
    return IsAnonymous(ranges[at]) && !ranges[at].executable && ranges[at].bytes() <= most;
  };
  const auto is_loaded = [&](size_t at) {
    return IsImage(facts, at) || IsKernelCode(facts, at) || IsFile(facts, at);
  };
  if (!ranges[index].writable || !is_small(index, kMostBytes)) return false;
  size_t below = index;
  size_t above = index;
  for (size_t i = 0; i < kMostBetween; ++i) {
    if (below > 0 && !is_loaded(below) && is_small(below, kMostBetweenBytes)) --below;
    if (above + 1 < ranges.size() && !is_loaded(above) && is_small(above, kMostBetweenBytes)) {
      ++above;
    }
  }
  return is_loaded(below) && is_loaded(above);
}

bool IsAnything(const ProcessFacts&, size_t) { return true; }

}  // namespace

const RangeRule kRangeRules[] = {
    {"main stack", LedgerClass::kThreadStacks, IsStack},
    {"vdso", LedgerClass::kImages, IsKernelCode},
    {"stats file", LedgerClass::kOwn, IsStatsFile},
    {"libtaskmem.so", LedgerClass::kOwn, IsTaskmemImage},
    {"program or library", LedgerClass::kImages, IsImage},
    {"loader", LedgerClass::kImages, IsLoaderData},
    {"brk heap", LedgerClass::kUntrackedMappings, IsBrk},
    {"ZGC heap", LedgerClass::kManagedHeap, IsJavaMemfd},
    {"memfd", LedgerClass::kUntrackedMappings, IsMemfd},
    {"shared memory", LedgerClass::kUntrackedMappings, IsSharedMemory},
    {"overflow file", LedgerClass::kFileMappings, IsOverflowFile},
    {"deleted file", LedgerClass::kFileMappings, IsDeletedFile},
    {"file", LedgerClass::kFileMappings, IsFile},
    {"unknown", LedgerClass::kUnknown, IsAnything},
};
const size_t kRangeRuleCount = sizeof(kRangeRules) / sizeof(kRangeRules[0]);

ProcessFacts CollectFacts(const std::vector<MemoryRange>& ranges,
                          const std::vector<Module>& modules, std::string stats_file) {
  ProcessFacts facts;
  facts.ranges = &ranges;
  facts.modules = &modules;
  facts.stats_file = std::move(stats_file);
  return facts;
}

const RangeRule& ClassifyRange(const ProcessFacts& facts, size_t index) {
  const RangeRule* rule = kRangeRules;
  while (!rule->holds(facts, index)) ++rule;
  return *rule;
}

}  // namespace taskmem
