#include "shim/contexts/contexts_of.h"

#include "shim/books/own_memory.h"
#include "shim/contexts/list_by_place.h"

namespace taskmem {

namespace {

Mutex g_slot_pairs_mutex;
Pair* g_slot_pairs[kMaxTaskSlots + 1];

}  // namespace

Mutex& SlotPairsMutex() { return g_slot_pairs_mutex; }

void ListPair(Context* context, Pair* pair) {
  pair->context = context;
  MutexLock lock(g_slot_pairs_mutex);
  Pair** const head = &g_slot_pairs[pair->slot];
  ListFirst<&Pair::next_of_slot, &Pair::place_of_slot>(head, pair);
}

void UnlistPair(Pair* pair) {
  MutexLock lock(g_slot_pairs_mutex);
  TakeOffList<&Pair::next_of_slot, &Pair::place_of_slot>(pair);
}

ContextsOf::ContextsOf(uint32_t slot) {
  if (slot == kEverySlot) {
    size_ = ContextCount();
    return;
  }
  indexes_ = few_;
  if (List(slot, kFew)) return;
  // More than there is room for: their number, and some that may come meanwhile.
  for (bytes_ = 0; indexes_ != nullptr;) {
    if (bytes_ != 0) OwnFree(indexes_, bytes_);
    bytes_ = (size_ + size_ / 8) * sizeof(uint32_t);
    indexes_ = static_cast<uint32_t*>(OwnAllocate(bytes_));
    if (indexes_ != nullptr && List(slot, static_cast<uint32_t>(bytes_ / sizeof(uint32_t)))) return;
  }
  // No memory for a list: then it is all of them.
  bytes_ = 0;
  size_ = ContextCount();
}

ContextsOf::~ContextsOf() {
  if (bytes_ != 0) OwnFree(indexes_, bytes_);
}

bool ContextsOf::List(uint32_t slot, uint32_t room) {
  MutexLock lock(g_slot_pairs_mutex);
  size_ = 0;
  for (const Pair* pair = g_slot_pairs[slot]; pair != nullptr; pair = pair->next_of_slot) {
    if (size_ < room) indexes_[size_] = pair->context->index;
    ++size_;
  }
  return size_ <= room;
}

}  // namespace taskmem
