// The pairs of a context: which tasks it has worked for. A table by task id, open addressing, a
// power of two of places, at most half of them taken. An ended task's pair may stand before the
// pair of a new task with its id.
#ifndef TASKMEM_SHIM_CONTEXTS_PAIRS_H_
#define TASKMEM_SHIM_CONTEXTS_PAIRS_H_

#include "shim/contexts/context.h"

namespace taskmem {

inline uint32_t PairHash(uint64_t id, uint32_t slots) {
  return static_cast<uint32_t>((id * 0x9e3779b97f4a7c15u) >> 32) & (slots - 1);
}

// The pair of the live task with that id; nullptr: there is none.
__attribute__((always_inline)) inline Pair* FindPair(const Context* context, uint64_t id) {
  if (context->pair_slots == 0) return nullptr;
  const uint32_t mask = context->pair_slots - 1;
  for (uint32_t at = PairHash(id, context->pair_slots);; at = (at + 1) & mask) {
    Pair* pair = context->pairs[at];
    // An ended task's pair may stand before the pair of a new task with its id.
    if (pair == nullptr || (pair->id == id && !HasEnded(*pair))) return pair;
  }
}

// Puts a pair where a probe finds it. There is room.
void InsertPair(Pair** pairs, uint32_t slots, Pair* pair);

// Twice as many places. False: no memory, and nothing has changed.
bool GrowPairs(Context* context);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CONTEXTS_PAIRS_H_
