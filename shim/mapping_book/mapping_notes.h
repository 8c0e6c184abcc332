// What signal handlers did to the address space while their thread held the mappings' lock:
// events to be applied by whoever leaves or enters the lock next.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_MAPPING_NOTES_H_
#define TASKMEM_SHIM_MAPPING_BOOK_MAPPING_NOTES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "accounting/mappings/mapping_book.h"

namespace taskmem {

// Lock-free. Events of one thread come out in their order.
class MappingNotes {
 public:
  // Gives zeroed memory for notes beyond the first, which is kept, or nullptr.
  using More = void* (*)(size_t bytes);

  // False: there is no memory, and the event is lost. Where signals come faster than their handlers
  // end, the holder gets no turn for long: there is no bound on what they do meanwhile.
  bool Add(const MappingEvent& event, More more) {
    Note* const note = Claim(more);
    if (note == nullptr) return false;
    note->event = event;
    Note* first = first_.load(std::memory_order_relaxed);
    do {
      note->next = first;
    } while (!first_.compare_exchange_weak(first, note, std::memory_order_release));
    return true;
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
  struct Block {
    static constexpr uint32_t kNotes = 128;

    std::atomic<Block*> next{nullptr};
    std::atomic<uint32_t> hint{0};  // where the next free one may be
    Note note[kNotes];
  };

  Note* Claim(More more) {
    for (Block* block = &block_; block != nullptr; block = Next(block, more)) {
      const uint32_t from = block->hint.load(std::memory_order_relaxed);
      for (uint32_t i = 0; i < Block::kNotes; ++i) {
        const uint32_t at = (from + i) % Block::kNotes;
        uint32_t is_free = 0;
        if (block->note[at].is_used.compare_exchange_strong(is_free, 1,
                                                            std::memory_order_acquire)) {
          block->hint.store(at + 1, std::memory_order_relaxed);
          return &block->note[at];
        }
      }
    }
    return nullptr;
  }

  static Block* Next(Block* block, More more) {
    Block* next = block->next.load(std::memory_order_acquire);
    if (next != nullptr) return next;
    // All its values are zeros at first.
    auto* const made = static_cast<Block*>(more(sizeof(Block)));
    if (made == nullptr) return nullptr;
    // A handler that interrupts this may have added one: then it is the one behind that.
    for (Block* last = block; !last->next.compare_exchange_strong(next, made); next = nullptr) {
      last = next;
    }
    return block->next.load(std::memory_order_acquire);
  }

  std::atomic<Note*> first_{nullptr};
  Block block_;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_MAPPING_NOTES_H_
