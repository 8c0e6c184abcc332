#include "shim/sites/task_sites.h"

#include <dlfcn.h>

#include <cstring>

#include "accounting/base/format_text.h"
#include "accounting/base/size_text.h"
#include "shim/heap/heap.h"
#include "shim/sites/sites.h"

namespace taskmem {

void TaskSites::Add(const SiteStack* stack, uint64_t bytes) {
  const uint64_t hash = reinterpret_cast<uint64_t>(stack) * 0x9e3779b97f4a7c15 >> 32;
  for (uint32_t i = 0; i < kStacks; ++i) {
    Sum& sum = sums_[(hash + i) % kStacks];
    if (sum.stack != nullptr && sum.stack != stack) continue;
    sum.stack = stack;
    sum.bytes += bytes;
    return;
  }
}

void TaskSites::AddBlocks(uint32_t slot) {
  if (!g_sites_on) return;
  const SiteTableHead& head = g_site_table.head();
  // Some milliseconds, where all of them are live samples.
  constexpr uint64_t kMostLooked = 1 << 16;
  uint64_t looked = 0;
  for (uint32_t level = 0; level < kSampleLevels; ++level) {
    const auto* const samples =
        reinterpret_cast<const SiteSample*>(head.levels[level].load(std::memory_order_acquire));
    looked += SampleLevelSize(level);
    if (samples == nullptr || looked > kMostLooked) return;
    for (uint64_t i = 0; i < SampleLevelSize(level); ++i) {
      constexpr uint64_t kHighestMark = 2;
      const SiteSample& sample = samples[i];
      const uint64_t block = sample.block.load(std::memory_order_acquire);
      uint32_t owner = 0;
      if (block <= kHighestMark || !OwnerOf(reinterpret_cast<const void*>(block), &owner) ||
          owner != slot) {
        continue;
      }
      const uint64_t stack = sample.stack.load(std::memory_order_relaxed);
      const uint64_t weight = sample.weight.load(std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_acquire);
      // Another block's by now.
      if (sample.block.load(std::memory_order_relaxed) != block) continue;
      Add(reinterpret_cast<const SiteStack*>(stack), weight);
    }
  }
}

void TaskSites::AddMapping(uint32_t site, uint64_t bytes) {
  const auto* const index = reinterpret_cast<const std::atomic<SiteStack*>*>(
      g_site_table.head().index.load(std::memory_order_acquire));
  if (index == nullptr || site == 0 || site > kSiteIndexSize || bytes == 0) return;
  const SiteStack* const stack = index[site - 1].load(std::memory_order_acquire);
  if (stack != nullptr) Add(stack, bytes);
}

TaskSites::Sum TaskSites::TakeLargest() {
  Sum* largest = &sums_[0];
  for (Sum& sum : sums_) {
    if (sum.bytes > largest->bytes) largest = &sum;
  }
  const Sum taken = *largest;
  largest->bytes = 0;
  return taken;
}

void TaskSites::Name(const SiteStack& stack, char* name, size_t name_bytes) {
  constexpr uint32_t kFramesShown = 2;
  // Beyond, all of them were allocators of C++ and the like.
  constexpr uint32_t kFramesLooked = 8;
  uint32_t shown = 0;
  size_t used = 0;
  char library[sizeof(frame_.library)] = {};
  name[0] = '\0';
  const auto add = [&](const char* format, const char* text) {
    if (used >= name_bytes) return;
    used += static_cast<size_t>(FormatText(name + used, name_bytes - used, format, text));
  };
  dl_find_object own;
  const bool knows_own = _dl_find_object(reinterpret_cast<void*>(&g_site_table), &own) == 0;
  const auto is_own = [&](uint64_t frame) {
    return knows_own && frame > reinterpret_cast<uint64_t>(own.dlfo_map_start) &&
           frame < reinterpret_cast<uint64_t>(own.dlfo_map_end);
  };
  const auto end_library = [&](const char* next) {
    if (library[0] != '\0' && strcmp(library, next) != 0) add(" (%s)", library);
    FormatText(library, sizeof(library), "%s", next);
  };
  uint32_t i = 0;
  for (; i < stack.depth && i < kFramesLooked && shown < kFramesShown; ++i) {
    const uint64_t frame = __atomic_load_n(&stack.frames[i], __ATOMIC_RELAXED);
    // What begins threads and calls main.
    if (is_own(frame)) break;
    if (IsUnloadedFrame(frame)) {
      end_library("");
      add(shown++ == 0 ? "%s" : " < %s", "a library that was unloaded");
      continue;
    }
    NameCall(frame, &scratch_, &frame_);
    if (strncmp(frame_.function, "operator new", strlen("operator new")) == 0) continue;
    end_library(frame_.function[0] != '\0' ? frame_.library : "");
    if (shown++ != 0) add("%s", " < ");
    if (frame_.function[0] != '\0') {
      add("%s", frame_.function);
    } else if (frame_.library[0] != '\0') {
      char offset[24];
      FormatText(offset, sizeof(offset), "+0x%llx", static_cast<unsigned long long>(frame_.offset));
      add("%s", frame_.library);
      add("%s", offset);
    } else {
      add("%s", "unknown code");
    }
  }
  end_library("");
  if (i == stack.depth && (stack.flags & kSiteUnknownCode) != 0) {
    add(shown == 0 ? "%s" : " < %s", "generated code");
  } else if (shown == 0) {
    add("%s", "unknown code");
  }
}

size_t TaskSites::Describe(uint32_t sites, char* text, size_t text_bytes) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < kNamed; ++i) {
    const Sum sum = TakeLargest();
    // Not worth a word beside the largest.
    constexpr uint64_t kShare = 50;
    if (sum.bytes == 0 || (count > 0 && sum.bytes < named_[0].bytes / kShare)) break;
    Named& next = named_[count];
    Name(*sum.stack, next.name, sizeof(next.name));
    next.bytes = sum.bytes;
    for (uint32_t k = 0; k < count; ++k) {
      if (strcmp(named_[k].name, next.name) != 0) continue;
      named_[k].bytes += next.bytes;
      next.bytes = 0;
      break;
    }
    if (next.bytes != 0) ++count;
  }
  size_t used = 0;
  for (uint32_t shown = 0; shown < sites && shown < count; ++shown) {
    Named* largest = &named_[0];
    for (uint32_t i = 1; i < count; ++i) {
      if (named_[i].bytes > largest->bytes) largest = &named_[i];
    }
    used += static_cast<size_t>(FormatText(text + used, text_bytes - used, "%s%s by %s",
                                           shown == 0 ? "" : ", ",
                                           OwnSizeText(largest->bytes).c_str(), largest->name));
    largest->bytes = 0;
    if (used >= text_bytes) return text_bytes - 1;
  }
  return used;
}

}  // namespace taskmem
