#include "accounting/base/debug.h"

#ifdef TASKMEM_DEBUG

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "accounting/base/format_text.h"
#include "accounting/base/futex.h"

namespace taskmem {
namespace {

struct Delays {
  uint64_t per_mille = 0;
  uint64_t most_ns = 0;
  uint64_t seed = 0;
  const char* name = "";
};

// The points are passed before any constructor: read from the environment as it lies there.
Delays ReadDelays() {
  Delays delays;
  constexpr char kVariable[] = "TASKMEM_DEBUG_DELAYS=";
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    if (strncmp(*at, kVariable, sizeof(kVariable) - 1) != 0) continue;
    char* text = *at + sizeof(kVariable) - 1;
    delays.per_mille = strtoull(text, &text, 10);
    if (*text == ':') delays.most_ns = strtoull(text + 1, &text, 10) * 1000;
    if (*text == ':') delays.seed = strtoull(text + 1, &text, 10);
    if (*text == ':') delays.name = text + 1;
  }
  return delays;
}

Delays g_delays;
std::atomic<int> g_state{0};  // 1: being read, 2: read

__thread uint64_t t_random __attribute__((tls_model("initial-exec"))) = 0;

uint64_t Random() {
  if (t_random == 0) {
    t_random =
        (g_delays.seed + static_cast<uint64_t>(syscall(SYS_gettid))) * 0x9e3779b97f4a7c15u | 1;
  }
  t_random ^= t_random << 13;
  t_random ^= t_random >> 7;
  t_random ^= t_random << 17;
  return t_random >> 11;
}

}  // namespace

void CheckFailed(const char* file, int line, const char* condition) {
  char text[512];
  const int length =
      FormatText(text, sizeof(text), "taskmem: %s:%d: %s does not hold\n", file, line, condition);
  const size_t bytes = static_cast<size_t>(length);
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, text, bytes < sizeof(text) ? bytes : sizeof(text) - 1);
  abort();
}

void DelayHere(const char* name) {
  if (g_state.load(std::memory_order_acquire) != 2) {
    int none = 0;
    if (environ == nullptr || !g_state.compare_exchange_strong(none, 1)) return;
    g_delays = ReadDelays();
    g_state.store(2, std::memory_order_release);
  }
  if (g_delays.per_mille == 0 || strncmp(name, g_delays.name, strlen(g_delays.name)) != 0 ||
      Random() % 1000 >= g_delays.per_mille) {
    return;
  }
  // Not asleep: a thread without its processor is not in a system call.
  const uint64_t until = static_cast<uint64_t>(MonotonicNs()) + Random() % (g_delays.most_ns + 1);
  while (static_cast<uint64_t>(MonotonicNs()) < until) syscall(SYS_sched_yield);
}

}  // namespace taskmem

#endif
