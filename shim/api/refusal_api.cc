// taskmem_on_refusal: the program is told why it gets no memory.
#define TASKMEM_IMPLEMENTATION
#include <atomic>
#include <cstdint>
#include <new>

#include "shim/api/sites_text.h"
#include "shim/base/os.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
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

// A program may be refused something at every turn, and each text takes its time.
LineRate g_sites_texts(/*burst=*/20, /*interval_ns=*/100'000'000);

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
    if (sites_text != nullptr) FreeSitesText(sites_text);
  }
};

}  // namespace

void TellRefusal(const RefusalNote& note) {
  const Listener* const listener = g_listener.load(std::memory_order_acquire);
  if (listener == nullptr) return;
  SitesText* const sites_text = g_sites_texts.Allows(os::MonotonicNs())
                                    ? MakeSitesText(note.slot, note.text, "; largest sites: ")
                                    : nullptr;
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
