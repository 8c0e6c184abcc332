// The allocator: mimalloc with its seams, contexts, pages and their books, and
// the malloc family over them. One unit, because the fast path must be; each
// part is a file that says what it is.
#include "shim/mimalloc_embed.h"
//
#include <errno.h>
#include <sys/uio.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "accounting/mutex.h"
#include "accounting/size_text.h"
#include "shim/charge.h"
#include "shim/context.h"
#include "shim/fast_path.h"
#include "shim/fold.h"
#include "shim/foreign.h"
#include "shim/heap.h"
#include "shim/log.h"
#include "shim/message.h"
#include "shim/os.h"
#include "shim/own_memory.h"
#include "shim/page_map.h"
#include "shim/shared_page.h"
#include "shim/task_pages.h"
#include "shim/threads.h"
#include "spill/reclaim.h"

namespace taskmem {

void CollectContext(Context* context, bool force);
void CollectParked();
void CollectSleepers();
void CollectOrphan();

namespace {
void* AllocateAtLimit(Context* context, size_t size, bool zero, size_t huge_alignment);
}

uint8_t g_segment_map[kSegments];

void NoteSegment(const mi_segment_t* segment, bool taken) {
  const uintptr_t index = reinterpret_cast<uintptr_t>(segment) >> kSegmentShift;
  if (index < kSegments) g_segment_map[index] = taken ? 1 : 0;
}

}  // namespace taskmem

#include "shim/shared_page.inc"
#include "shim/page_alloc.inc"
#include "shim/context.inc"
#include "shim/collect.inc"
#include "shim/slow_path.inc"
#include "shim/limit.inc"
#include "shim/malloc.inc"
#include "shim/walk.inc"
#include "shim/exports.inc"
