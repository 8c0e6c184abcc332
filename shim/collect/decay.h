// Slack (books/slack.h), where several contexts are concerned.
#ifndef TASKMEM_SHIM_COLLECT_DECAY_H_
#define TASKMEM_SHIM_COLLECT_DECAY_H_

#include <cstdint>

#include "shim/contexts/context.h"

namespace taskmem {

// All that can be had, and the addresses of cached segments as well.
void PurgeEverything();

// By the thread that has the context, now and then in its slow path.
void PurgeOwnIfDue(Context* context);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_COLLECT_DECAY_H_
