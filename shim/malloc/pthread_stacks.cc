// A context knows an address near the base of its thread's stack: the thread's control block, which
// glibc puts into the same mapping.
#include "shim/malloc/pthread_stacks.h"

#include "shim/base/maps_file.h"
#include "shim/base/os.h"
#include "shim/contexts/registry.h"
#include "shim/heap/upcalls.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

void ForEachThreadStack(void (*visit)(const ThreadStack&, void*), void* argument) {
  const uint32_t count = ContextCount();
  if (count <= 1) return;
  const int main_tid = os::ProcessId();
  ForEachMapsLine([&](const MapsLine& line) {
    uint32_t slot = 0;
    if (OwnerOfMapping(reinterpret_cast<const void*>(line.start), &slot)) return true;
    for (uint32_t i = 0; i < count; ++i) {
      const Context& context = *ContextAt(i);
      const int tid = context.tid.load(std::memory_order_acquire);
      const uintptr_t top = context.stack_top;
      if (tid <= 0 || tid == main_tid || context.is_own_threads || top < line.start ||
          top >= line.end) {
        continue;
      }
      const uint32_t slot_plus_one =
          g_thread_entries[i].slot_plus_one.load(std::memory_order_relaxed);
      visit({line.start, line.end, static_cast<uint32_t>(tid),
             slot_plus_one != 0 ? slot_plus_one - 1 : kUntrackedSlot},
            argument);
    }
    return true;
  });
}

uint64_t ThreadStackBytes() {
  uint64_t bytes = 0;
  ForEachThreadStack(
      [](const ThreadStack& stack, void* sum) {
        *static_cast<uint64_t*>(sum) += ResidentBytes(stack.start, stack.end);
      },
      &bytes);
  return bytes;
}

}  // namespace taskmem
