#include "shim/spilling/block_pins.h"

#include <cstring>
#include <new>
#include <utility>

#include "accounting/base/mutex.h"
#include "shim/books/own_memory.h"
#include "shim/books/task_registry.h"
#include "shim/books/task_text.h"
#include "shim/options/log.h"
#include "shim/published/stats_segment.h"
#include "shim/spilling/block_store.h"

namespace taskmem {

// Never given back to the system: a handle's serial can always be looked at.
struct PinPlace {
  uint64_t serial = 0;  // odd while it is in use
  uint32_t slot = 0;
  uint32_t generation = 0;  // of the task
  uint32_t next = 0;        // index + 1, of the free ones or of the slot's
  uint32_t previous = 0;
  uint32_t index_plus_one = 0;
  BlockPin pin;
};

namespace {

constexpr uint32_t kSlabEntries = 256;
constexpr uint32_t kSlabs = 65536;

constinit Mutex g_mutex;
PinPlace* g_slabs[kSlabs];
uint32_t g_entries = 0;
uint32_t g_free = 0;
uint32_t g_of_slot[kMaxTaskSlots + 1];  // the first pin of each task; 0: none

PinPlace& At(uint32_t index_plus_one) {
  const uint32_t index = index_plus_one - 1;
  return g_slabs[index / kSlabEntries][index % kSlabEntries];
}

// These need the lock.
void PutBack(PinPlace& place) {
  place.next = g_free;
  g_free = place.index_plus_one;
}

void Link(PinPlace& place, uint32_t slot, uint32_t generation) {
  place.slot = slot;
  place.generation = generation;
  place.previous = 0;
  place.next = g_of_slot[slot];
  if (place.next != 0) At(place.next).previous = place.index_plus_one;
  g_of_slot[slot] = place.index_plus_one;
}

BlockPin TakeOut(PinPlace& place) {
  ++place.serial;
  (place.previous != 0 ? At(place.previous).next : g_of_slot[place.slot]) = place.next;
  if (place.next != 0) At(place.next).previous = place.previous;
  PutBack(place);
  return std::move(place.pin);
}

// Takes memory, with no lock held. False: there is none.
bool AddSlab() {
  void* const memory = OwnAllocate(sizeof(PinPlace) * kSlabEntries);
  if (memory == nullptr) return false;
  auto* const slab = static_cast<PinPlace*>(memory);
  const MutexLock lock(g_mutex);
  const uint32_t number = g_entries / kSlabEntries;
  if (number == kSlabs) return false;
  g_slabs[number] = slab;
  for (uint32_t i = 0; i < kSlabEntries; ++i) {
    PinPlace* const place = new (&slab[i]) PinPlace;
    place->index_plus_one = ++g_entries;
    PutBack(*place);
  }
  return true;
}

// "[rdd_0_1, rdd_0_2]", cut where it gets long.
class Names final : public ReleasedLocks {
 public:
  void Released(const BlockId& id) override {
    const std::string_view name = id.name();
    const size_t more = name.size() + 2;
    if (length_ + more + 1 >= sizeof(text_)) return;
    if (length_ > 1) {
      text_[length_++] = ',';
      text_[length_++] = ' ';
    }
    memcpy(text_ + length_, name.data(), name.size());
    length_ += name.size();
    text_[length_] = '\0';
  }
  const char* text() const { return text_; }

 private:
  char text_[400] = "[";
  size_t length_ = 1;
};

}  // namespace

PinPlace* TakePinPlace() {
  do {
    const MutexLock lock(g_mutex);
    if (g_free == 0) continue;
    PinPlace& place = At(g_free);
    g_free = place.next;
    return &place;
  } while (AddSlab());
  return nullptr;
}

BlockPin& PinOf(PinPlace& place) { return place.pin; }

void ReturnPinPlace(PinPlace* place) {
  place->pin.Reset();
  const MutexLock lock(g_mutex);
  PutBack(*place);
}

bool KeepPin(PinPlace* place, const CurrentTask& task, PinHandle* handle) {
  {
    const MutexLock lock(g_mutex);
    // Who ends the task looks for its pins after this has changed, under this lock.
    if (!HasTaskEnded(task)) {
      Link(*place, task.slot >= kFirstTaskSlot ? task.slot : kUntrackedSlot, task.generation);
      *handle = {place->index_plus_one, ++place->serial};
      return true;
    }
  }
  ReturnPinPlace(place);
  return false;
}

bool HasTaskEnded(const CurrentTask& task) {
  return task.slot >= kFirstTaskSlot &&
         g_task_slots[task.slot].generation.load(std::memory_order_seq_cst) != task.generation;
}

bool DropPin(const PinHandle& handle) {
  BlockPin pin;
  const MutexLock lock(g_mutex);
  if (handle.index == 0 || handle.index > g_entries) return false;
  PinPlace& place = At(handle.index);
  if (place.serial != handle.serial || (handle.serial & 1) == 0) return false;
  pin = TakeOut(place);
  return true;
}

void EndTaskInBlocks(uint32_t slot) {
  BlockManager* const blocks = BlockStore();
  if (blocks == nullptr || slot < kFirstTaskSlot) return;
  // Not a StoreCall: a thread that is renamed finds its task ended amid an allocation.
  const InsidePools inside;
  if (!inside) return;
  const TaskBook& book = g_books[slot];
  const uint32_t generation = g_task_slots[slot].generation.load(std::memory_order_seq_cst) - 1;
  const int64_t user = BlockUserOf({book.task_id.load(), slot, generation});
  Names names;
  const int64_t locked = blocks->ReleaseTask(user, &names);
  for (;;) {
    BlockPin pin;  // let go with no lock held
    const MutexLock lock(g_mutex);
    uint32_t at = g_of_slot[slot];
    while (at != 0 && At(at).generation != generation) at = At(at).next;
    if (at == 0) break;
    pin = TakeOut(At(at));
  }
  if (locked == 0) return;
  LogLine(Log(), LogLevel::kWarn, "%lld block locks were not released by %s: %s]",
          static_cast<long long>(locked), TaskText(book).c_str(), names.text());
}

void AddBlockPinLocks(ForkLocks* locks) { locks->Add(g_mutex); }

}  // namespace taskmem
