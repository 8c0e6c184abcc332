// What signal handlers did to the address space while their thread held the mappings' lock:
// events to be applied by whoever leaves or enters the lock next.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_MAPPING_NOTES_H_
#define TASKMEM_SHIM_MAPPING_BOOK_MAPPING_NOTES_H_

#include <atomic>
#include <cstdint>

#include "accounting/mappings/mapping_book.h"

namespace taskmem {

// Lock-free. Events of one thread come out in their order.
class MappingNotes {
 public:
  // False: there is no room, and the event is lost.
  bool Add(const MappingEvent& event) {
    for (Note& note : notes_) {
      uint32_t is_free = 0;
      if (!note.is_used.compare_exchange_strong(is_free, 1, std::memory_order_acquire)) continue;
      note.event = event;
      Note* first = first_.load(std::memory_order_relaxed);
      do {
        note.next = first;
      } while (!first_.compare_exchange_weak(first, &note, std::memory_order_release));
      return true;
    }
    return false;
  }

  bool IsEmpty() const { return first_.load(std::memory_order_relaxed) == nullptr; }

  // apply(event) for each, oldest first.
  template <typename Apply>
  void TakeAll(Apply apply) {
    Note* newest = first_.exchange(nullptr, std::memory_order_acquire);
    Note* oldest = nullptr;
    while (newest != nullptr) {
      Note* const next = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = next;
    }
    while (oldest != nullptr) {
      Note* const next = oldest->next;
      apply(oldest->event);
      oldest->is_used.store(0, std::memory_order_release);
      oldest = next;
    }
  }

 private:
  struct Note {
    std::atomic<uint32_t> is_used{0};
    Note* next = nullptr;
    MappingEvent event;
  };

  std::atomic<Note*> first_{nullptr};
  Note notes_[128];
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_MAPPING_NOTES_H_
