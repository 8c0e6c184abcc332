#include "shim/contexts/pairs.h"

#include "shim/books/own_memory.h"

namespace taskmem {

void InsertPair(Pair** pairs, uint32_t slots, Pair* pair) {
  uint32_t at = PairHash(pair->id, slots);
  while (pairs[at] != nullptr) at = (at + 1) & (slots - 1);
  pairs[at] = pair;
}

bool GrowPairs(Context* context) {
  const uint32_t slots = context->pair_slots == 0 ? 8 : context->pair_slots * 2;
  auto** pairs = static_cast<Pair**>(OwnAllocate(slots * sizeof(Pair*)));
  if (pairs == nullptr) return false;
  for (uint32_t i = 0; i < context->pair_slots; ++i) {
    Pair* pair = context->pairs[i];
    if (pair == nullptr) continue;
    InsertPair(pairs, slots, pair);
  }
  if (context->pairs != nullptr) OwnFree(context->pairs, context->pair_slots * sizeof(Pair*));
  context->pairs = pairs;
  context->pair_slots = slots;
  return true;
}

}  // namespace taskmem
