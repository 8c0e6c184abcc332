// The memory store as traces see it, and what stands for it where they have none.
#ifndef TASKMEM_TESTS_CONFORMANCE_EVICTORS_H_
#define TASKMEM_TESTS_CONFORMANCE_EVICTORS_H_

#include <memory>
#include <string_view>

#include "accounting/pools/block_evictor.h"
#include "accounting/pools/unified_memory_manager.h"

namespace taskmem::conformance {

class TraceEvictor : public BlockEvictor {
 public:
  virtual ~TraceEvictor() = default;
};

// The evictor of a header: "exact", "throw", "script", or "store". Throws TraceError for
// another. `pools` and `store` must outlive it.
std::unique_ptr<TraceEvictor> MakeEvictor(std::string_view name, UnifiedMemoryManager& pools,
                                          BlockEvictor& store);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_EVICTORS_H_
