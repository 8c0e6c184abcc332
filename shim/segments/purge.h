// Slack goes back to the system, by mimalloc's own decommit masks, so that its view of what is
// committed stays right.
#ifndef TASKMEM_SHIM_SEGMENTS_PURGE_H_
#define TASKMEM_SHIM_SEGMENTS_PURGE_H_

#include "shim/contexts/context.h"

namespace taskmem {

// Free segments that no context has. mimalloc does it now and then, where one is freed.
void PurgeSegmentCache(bool force);

// The cached segments' addresses as well.
void DropSegmentCache();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SEGMENTS_PURGE_H_
