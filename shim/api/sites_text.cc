#include "shim/api/sites_text.h"

#include "accounting/audit/sample_clock.h"
#include "accounting/base/format_text.h"
#include "shim/books/after_fork.h"
#include "shim/books/own_memory.h"
#include "shim/books/task_registry.h"
#include "shim/heap/upcalls.h"
#include "shim/sites/sites.h"

namespace taskmem {
namespace {

// What the range stands for, by the chance that it was a sample.
uint64_t WeightOf(const MappedRange& range, uint64_t bytes) {
  const uint64_t interval = g_site_table.head().interval_bytes.load(std::memory_order_relaxed);
  const uint64_t length = range.end - range.start;
  double times = TimesOf(range.tag.serial >> MappingTag::kScaleShift);
  if (range.tag.kind == MappingClass::kSystemV) {
    times = length >= interval
                ? 1
                : static_cast<double>(SampleWeight(length, interval)) / static_cast<double>(length);
  }
  return static_cast<uint64_t>(times * static_cast<double>(bytes));
}

void AddMappings(uint32_t slot, SitesText* scratch) {
  // Others, of programs that map very much, are left out.
  constexpr uint32_t kMostLooked = 1 << 14;
  uint64_t look_left_bytes = uint64_t{8} << 30;
  constexpr uint32_t kAtOnce = sizeof(scratch->ranges) / sizeof(scratch->ranges[0]);
  uint64_t from = 0;
  for (uint32_t looked = 0; looked < kMostLooked; looked += kAtOnce) {
    const uint32_t count = ReadMappings(from, scratch->ranges, kAtOnce);
    for (uint32_t i = 0; i < count; ++i) {
      const MappedRange& range = scratch->ranges[i];
      from = range.end;
      if (range.tag.slot != slot || range.tag.site == 0) continue;
      uint64_t bytes = range.tag.rule == ChargeRule::kLength ? range.end - range.start : 0;
      if (range.tag.rule == ChargeRule::kResidency && range.end - range.start < look_left_bytes) {
        look_left_bytes -= range.end - range.start;
        bytes = ResidentBytes(range.start, range.end);
      }
      scratch->sites.AddMapping(range.tag.site, WeightOf(range, bytes));
    }
    if (count < kAtOnce) return;
  }
}

SitesText* SumSites(uint32_t slot) {
  if (!g_sites_on || IsInsideMappings()) return nullptr;
  auto* const made = static_cast<SitesText*>(OwnAllocate(sizeof(SitesText)));
  if (made == nullptr) return nullptr;
  made->sites.AddBlocks(slot);
  AddMappings(slot, made);
  return made;
}

}  // namespace

SitesText* MakeSitesText(uint32_t slot, const char* before, const char* between) {
  SitesText* const made = SumSites(slot);
  if (made == nullptr) return nullptr;
  const auto used =
      static_cast<size_t>(FormatText(made->text, sizeof(made->text), "%s%s", before, between));
  if (used < sizeof(made->text) &&
      made->sites.Describe(TaskSites::kShown, made->text + used, sizeof(made->text) - used) != 0) {
    return made;
  }
  FreeSitesText(made);
  return nullptr;
}

SitesText* MakeSitesTextOfTask(uint64_t id) {
  EnsureSettledBooks();
  const uint32_t slot = FindListedTask(id);
  return slot != kUntrackedSlot ? MakeSitesText(slot, "", "") : nullptr;
}

size_t DescribeLargestSite(uint32_t slot, char* text, size_t text_bytes) {
  SitesText* const made = SumSites(slot);
  if (made == nullptr) return 0;
  const size_t length = made->sites.Describe(1, text, text_bytes);
  FreeSitesText(made);
  return length;
}

void FreeSitesText(SitesText* text) { OwnFree(text, sizeof(*text)); }

}  // namespace taskmem
