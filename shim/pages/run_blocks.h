// Runs (contexts/runs.h) filled from shared pages, used, and emptied. For whoever has the context.
#ifndef TASKMEM_SHIM_PAGES_RUN_BLOCKS_H_
#define TASKMEM_SHIM_PAGES_RUN_BLOCKS_H_

#include <cstddef>
#include <cstdint>

#include "shim/contexts/charge.h"
#include "shim/contexts/context.h"
#include "shim/contexts/runs.h"
#include "shim/mimalloc/types.h"
#include "shim/pages/outcome.h"

namespace taskmem {

// Runs for the pair, which has none. False: no memory.
bool OpenRuns(Context* context, Pair* pair);

// Fills an empty run with free blocks of shared pages, of which `page` is the first that has some.
Outcome Refill(Context* context, Pair* pair, uint8_t bin, mi_page_t* page, ChargeMode mode);

// A block of a run that has one.
Outcome TakeFromRun(Context* context, Pair* pair, uint8_t bin, size_t size, bool zero,
                    ChargeMode mode, void** result);

// The block is being freed by the thread that has its context: makes room for it and others in its
// run, where that is full.
void MakeRoomInRun(const mi_page_t* page, const void* block);

// Gives all blocks in the pair's runs back to their pages; and the runs themselves up.
void EmptyRuns(Pair* pair);
void CloseRuns(Context* context, Pair* pair);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGES_RUN_BLOCKS_H_
