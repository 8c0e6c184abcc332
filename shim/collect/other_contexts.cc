#include "shim/collect/other_contexts.h"

namespace taskmem {

LookPatience g_look_patience[kMaxTaskSlots + 1];

}  // namespace taskmem
