// What stands for the memory store where a trace asks for none of its operations.
#ifndef TASKMEM_TESTS_CONFORMANCE_EVICTORS_H_
#define TASKMEM_TESTS_CONFORMANCE_EVICTORS_H_

#include <memory>
#include <string_view>

#include "accounting/block_evictor.h"
#include "accounting/memory_log.h"
#include "accounting/unified_memory_manager.h"

namespace taskmem::conformance {

class TraceEvictor : public BlockEvictor {
 public:
  virtual ~TraceEvictor() = default;
};

// The evictor of a header: "exact", "throw", "script", or "store", which has no blocks.
// Throws TraceError for another. `pools` and `log` must outlive it.
std::unique_ptr<TraceEvictor> MakeEvictor(std::string_view name, UnifiedMemoryManager& pools,
                                          MemoryLog& log);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_EVICTORS_H_
