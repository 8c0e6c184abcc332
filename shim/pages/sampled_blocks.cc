#include "shim/pages/sampled_blocks.h"

#include "shim/books/own_memory.h"
#include "shim/contexts/borrow.h"
#include "shim/mimalloc/seams.h"

namespace taskmem {

namespace {

void DrawSample(Context* context) {
  if (!context->clock.IsStarted()) {
    const uint64_t interval = g_site_table.head().interval_bytes.load(std::memory_order_relaxed);
    context->clock.Start(interval, OsRandom());
  } else {
    context->clock.Draw();
  }
}

}  // namespace

__attribute__((noinline)) bool CountSample(Context* context, uint64_t bytes) {
  if (!context->clock.IsStarted()) {
    DrawSample(context);
    if (!context->clock.Count(bytes)) return false;
  }
  context->sample_interval = context->clock.interval_bytes();
  DrawSample(context);
  return true;
}

namespace {

// Leaves the first `blocks` of the free list where they are, and puts the others where
// _mi_page_free_collect finds them when these are used up.
void CutList(mi_page_t* page, uint64_t blocks) {
  mi_block_t* rest = page->free;
  mi_block_t* last = nullptr;
  for (; blocks > 0 && rest != nullptr; --blocks) {
    last = rest;
    rest = mi_block_next(page, rest);
  }
  if (rest == nullptr) return;
  if (last == nullptr) {
    page->free = nullptr;
  } else {
    mi_block_set_next(page, last, nullptr);
  }
  mi_block_t* tail = rest;
  while (mi_block_t* next = mi_block_next(page, tail)) tail = next;
  mi_block_set_next(page, tail, page->local_free);
  page->local_free = rest;
}

}  // namespace

__attribute__((noinline)) bool CountList(Context* context, mi_page_t* page) {
  const uint64_t block_size = page->xblock_size;
  const auto blocks = static_cast<int32_t>(page->capacity - page->used);
  const uint64_t bytes = blocks > 0 ? static_cast<uint64_t>(blocks) * block_size : block_size;
  bool is_sample = context->due_interval != 0;
  if (is_sample) {
    context->sample_interval = context->due_interval;
    context->due_interval = 0;
  }
  if (!context->clock.IsStarted()) DrawSample(context);
  ListState(page) = kListCounted;
  while (context->clock.Count(bytes)) {
    const uint64_t before = context->clock.left_bytes() / block_size;
    const uint32_t doublings = context->clock.doublings();
    if (before == 0 && !is_sample) {
      is_sample = true;
      context->sample_interval = context->clock.interval_bytes();
      DrawSample(context);
      continue;
    }
    DrawSample(context);
    CutList(page, before);
    ListState(page) = kListCut | uintptr_t{doublings} << kDoublingsShift;
    break;
  }
  return is_sample;
}

namespace {

StackTop StackTopOf(const Context& context) {
  return {context.stack_top, context.known_stack_bytes};
}

SiteScratch* ScratchOf(Context* context) {
  if (context->site_scratch == nullptr) {
    context->site_scratch = static_cast<SiteScratch*>(OwnAllocate(sizeof(SiteScratch)));
  }
  return context->site_scratch;
}

}  // namespace

__attribute__((noinline)) void RecordSample(Context* context, void* block, uint64_t bytes) {
  const uint64_t interval = context->sample_interval;
  context->sample_interval = 0;
  SiteScratch* const scratch = ScratchOf(context);
  if (scratch == nullptr) return;
  const uint64_t start_ns = g_sites_adapt ? os::MonotonicNs() : 0;
  char* const slice = SliceStart(block);
  const uint64_t entry = PageMap::OfPage(slice);
  const uint64_t asked = bytes != 0 ? bytes : 1;
  if (PageMap::KindOf(entry) == PageMap::kShared) {
    auto* owners = static_cast<PageOwners*>(PageMap::OwnersOf(entry));
    // The chance went by the block's size, what it stands for goes by what was asked for.
    const double times = static_cast<double>(SampleWeight(owners->block_size, interval)) /
                         static_cast<double>(owners->block_size);
    const auto weight = static_cast<uint64_t>(times * static_cast<double>(asked) + 0.5);
    owners->samples.fetch_add(1, std::memory_order_relaxed);
    const auto address = reinterpret_cast<uint64_t>(block);
    if (!RecordSite(StackTopOf(*context), scratch, address, asked, weight)) {
      owners->samples.fetch_sub(1, std::memory_order_relaxed);
    }
  } else if (PageMap::IsLarge(entry)) {
    if (RecordSite(StackTopOf(*context), scratch, reinterpret_cast<uint64_t>(slice), asked,
                   SampleWeight(asked, interval))) {
      ListState(_mi_ptr_page(block)) = kIsSample;
    }
  }
  if (g_sites_adapt && interval != kEachOne) {
    const uint64_t now_ns = os::MonotonicNs();
    context->clock.Adapt(now_ns, now_ns - start_ns);
  }
}

MappingSample SampleMapping(uint64_t bytes) {
  ThreadState& t = t_thread;
  if (!g_sites_on || t.phase != ThreadPhase::kReady || t.busy) return {};
  Context* const context = t.context;
  SampleClock& clock = context->mapping_clock;
  const uint64_t interval = g_site_table.head().interval_bytes.load(std::memory_order_relaxed);
  if (bytes < interval) {
    if (__builtin_expect(!clock.IsStarted(), 0)) clock.Start(interval, OsRandom());
    if (clock.Count(bytes)) {
      clock.Draw();
    } else {
      return {};
    }
  }
  // A signal handler must not use the scratch meanwhile.
  const InsideAllocator inside(InsideAllocator::kTryContext);
  SiteScratch* const scratch = ScratchOf(context);
  const uint32_t site = scratch != nullptr ? SiteNumber(StackTopOf(*context), scratch) : 0;
  const uint64_t random = __builtin_ia32_rdtsc() * 0x9e3779b97f4a7c15;
  const uint64_t weight = bytes < interval ? SampleWeight(bytes, interval) : bytes;
  return {site, ScaleOf(bytes, weight, random)};
}

}  // namespace taskmem
