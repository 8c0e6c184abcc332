#include "shim/limit/at_limit.h"

#include <atomic>

namespace taskmem {

LimitPolicy g_limit_policy;
std::atomic<bool> g_process_is_dying{false};
int64_t g_reclaim_wait_ns = 0;

__thread Patience t_patience __attribute__((tls_model("initial-exec")));

}  // namespace taskmem
