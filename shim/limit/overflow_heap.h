// Blocks in the overflow file. A pair that is in overflow has its small
// blocks from a heap there, into which malloc looks first; large ones go there one by one.
#ifndef TASKMEM_SHIM_LIMIT_OVERFLOW_HEAP_H_
#define TASKMEM_SHIM_LIMIT_OVERFLOW_HEAP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shim/books/overflow_book.h"
#include "shim/contexts/context.h"
#include "shim/large/grow.h"
#include "shim/pages/outcome.h"

namespace taskmem {

// It is not only for what is beyond a quota (--overflow).
inline bool OverflowComesFirst() { return g_overflow_first.load(std::memory_order_relaxed) != 0; }

// `bytes` more as ordinary memory would pass the limit.
bool PassesOrdinaryLimit(uint32_t slot, uint64_t bytes);

// Puts a request into the file, and the pair into overflow where it is a small one. Anything
// but kDone: it could not be, and the request stands as before.
Outcome TakeInOverflow(Context* context, Pair* pair, size_t size, bool zero, size_t alignment,
                       void** result);

// Where overflow is in use, or comes first: what of it concerns the pair's next request.
// False: the request is to be served as any other.
bool OverflowFirst(Context* context, Pair* pair, size_t size, bool zero, size_t alignment,
                   void** result);

// The block moves into the overflow file.
Outcome GrowIntoOverflow(Context* context, Pair* pair, const Growth& growth, void** result);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_LIMIT_OVERFLOW_HEAP_H_
