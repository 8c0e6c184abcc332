// Folding: every block that an ended task of a set owns goes to one other slot.
#ifndef TASKMEM_SHIM_BOOKS_FOLD_H_
#define TASKMEM_SHIM_BOOKS_FOLD_H_

#include <cstdint>
#include <cstring>

#include "accounting/tasks/task_book.h"

namespace taskmem {

class SlotSet {
 public:
  void Clear() { memset(bits_, 0, sizeof(bits_)); }
  void Add(uint32_t slot) { bits_[slot / 64] |= uint64_t{1} << (slot % 64); }
  bool Contains(uint32_t slot) const { return (bits_[slot / 64] >> (slot % 64)) & 1; }

 private:
  uint64_t bits_[(kMaxTaskSlots + 64) / 64] = {};
};

// Moves ownership and charge of every block that is marked in a shared page and of every large
// block from the slots of `from` to `to`. Exact whatever is freed meanwhile.
// Pages that still are a task's own are left, and what a lessee has paid for (shared_page.h).
void FoldOwners(const SlotSet& from, uint32_t to);

// The task in the slot has ended: its page numbers are void (task_pages.cc). Its pages can
// still be freed.
void ForgetPages(uint32_t slot);

// The task has ended: its consumers are not asked any more (spill_host.cc).
void EndSpillConsumers(uint32_t slot, uint32_t generation);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_FOLD_H_
