// taskmem_on_refusal: the program is told why it gets no memory.
#define TASKMEM_IMPLEMENTATION
#include <atomic>
#include <cstdint>
#include <new>

#include "accounting/audit/sample_clock.h"
#include "accounting/base/format_text.h"
#include "shim/base/os.h"
#include "shim/books/own_memory.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mapping_book/mapping_queries.h"
#include "shim/sites/sites.h"
#include "shim/sites/task_sites.h"
#include "shim/taskmem.h"
#include "spill/hooks/hook_call.h"
#include "spill/reclaim/line_rate.h"

namespace taskmem {

std::atomic<bool> g_tells_refusals{false};

namespace {

// Never changed once it is named: a thread may be about to call it, a signal handler may ask.
struct Listener {
  std::atomic<taskmem_refusal_fn> function;
  std::atomic<void*> context;
};

constexpr uint32_t kMostListeners = 64;
Listener g_listeners[kMostListeners];
std::atomic<uint32_t> g_listeners_taken{0};
std::atomic<const Listener*> g_listener{nullptr};

// nullptr: there is no place for it.
const Listener* FindOrName(taskmem_refusal_fn function, void* context) {
  const uint32_t taken = g_listeners_taken.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < taken && i < kMostListeners; ++i) {
    // One that is being named by another thread is none yet.
    if (g_listeners[i].function.load(std::memory_order_acquire) == function &&
        g_listeners[i].context.load(std::memory_order_relaxed) == context) {
      return &g_listeners[i];
    }
  }
  if (taken >= kMostListeners) return nullptr;
  const uint32_t index = g_listeners_taken.fetch_add(1);
  if (index >= kMostListeners) return nullptr;
  g_listeners[index].context.store(context, std::memory_order_relaxed);
  g_listeners[index].function.store(function, std::memory_order_release);
  return &g_listeners[index];
}

// --- The text with the largest sites of the task. Made with no lock held, in memory of the
// library's own: whoever allocates may have little stack.

struct SitesText {
  TaskSites sites;
  MappedRange ranges[64];
  char text[1024];
};

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

// Each takes some milliseconds where there are many samples, and a program may be refused something
// at every turn.
LineRate g_sites_texts(/*burst=*/20, /*interval_ns=*/100'000'000);

// nullptr: nothing is known of sites, there is no memory for it, or there were many just now.
SitesText* MakeSitesText(const RefusalNote& note) {
  if (!g_sites_on || IsInsideMappings() || !g_sites_texts.Allows(os::MonotonicNs())) return nullptr;
  auto* const made = static_cast<SitesText*>(OwnAllocate(sizeof(SitesText)));
  if (made == nullptr) return nullptr;
  made->sites.AddBlocks(note.slot);
  AddMappings(note.slot, made);
  const auto used = static_cast<size_t>(
      FormatText(made->text, sizeof(made->text), "%s; largest sites: ", note.text));
  if (used < sizeof(made->text) &&
      made->sites.Describe(made->text + used, sizeof(made->text) - used) != 0) {
    return made;
  }
  OwnFree(made, sizeof(*made));
  return nullptr;
}

struct Telling {
  const Listener* listener;
  const RefusalNote* note;
  SitesText* sites_text;
};

uint64_t Tell(void* packed, uint64_t, uint64_t) {
  const auto& [listener, note, sites_text] = *static_cast<const Telling*>(packed);
  const taskmem_refusal refusal = {
      sizeof(taskmem_refusal), note->task,
      note->request_bytes,     note->charged_bytes,
      note->quota_bytes,       sites_text != nullptr ? sites_text->text : note->text};
  listener->function.load(std::memory_order_acquire)(
      listener->context.load(std::memory_order_relaxed), &refusal);
  return 0;
}

// What is given up after the call, however it ends.
struct Held {
  HookScope scope;
  SitesText* sites_text;

  ~Held() {
    if (sites_text != nullptr) OwnFree(sites_text, sizeof(*sites_text));
  }
};

}  // namespace

void TellRefusal(const RefusalNote& note) {
  const Listener* const listener = g_listener.load(std::memory_order_acquire);
  if (listener == nullptr) return;
  SitesText* const sites_text = MakeSitesText(note);
  Telling telling = {listener, &note, sites_text};
  alignas(Held) char place[sizeof(Held)];
  auto* const held = new (place) Held{{}, sites_text};
  const auto thread_ended = [](void* ended) {
    static_cast<Held*>(ended)->~Held();
    AbandonAllocation();
  };
  HookCall call = {Tell, &telling, 0, 0, thread_ended, held};
  CallHook(call);
  held->~Held();
}

}  // namespace taskmem

using namespace taskmem;

extern "C" int taskmem_on_refusal(taskmem_refusal_fn function, void* context) {
  const Listener* listener = nullptr;
  if (function != nullptr) {
    listener = FindOrName(function, context);
    if (listener == nullptr) return ENOSPC;
  }
  g_listener.store(listener, std::memory_order_release);
  // Once set it stays: who reads the two in between finds nobody.
  if (listener != nullptr) g_tells_refusals.store(true, std::memory_order_release);
  return 0;
}
