// Blocks taken from shared pages, one by one.
#ifndef TASKMEM_SHIM_PAGES_SHARED_TAKES_H_
#define TASKMEM_SHIM_PAGES_SHARED_TAKES_H_

#include <cstddef>
#include <cstdint>

#include "shim/contexts/charge.h"
#include "shim/contexts/context.h"
#include "shim/mimalloc/types.h"
#include "shim/pages/outcome.h"

namespace taskmem {

// The first shared page of the class with enough free blocks, or nullptr. The others leave the
// queue until another block of theirs is freed: so the search passes a page once for each free.
mi_page_t* FirstWithFree(SharedPages* pages, uint8_t bin);

// Takes the next blocks of a shared page, or of a new one, into use: free, and charged to nobody.
// nullptr: no memory.
mi_page_t* GrowShared(SharedPages* pages, uint8_t bin);

void CountTowardsHot(Pair* pair, uint8_t bin, uint32_t blocks);

// A block of a shared page that has a free one, counted towards the pair's being hot.
Outcome TakeShared(Context* context, Pair* pair, uint8_t bin, mi_page_t* page, size_t size,
                   bool zero, ChargeMode mode, void** result);

// A block that is a sample: from a shared page, however hot the pair is.
Outcome TakeSampled(Context* context, Pair* pair, uint8_t bin, size_t size, bool zero,
                    ChargeMode mode, void** result);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGES_SHARED_TAKES_H_
