// The memory store of a trace, with what the recording put around it: a disk, and puts that
// did not fit.
#ifndef TASKMEM_TESTS_CONFORMANCE_TRACE_STORE_H_
#define TASKMEM_TESTS_CONFORMANCE_TRACE_STORE_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "accounting/pools/unified_memory_manager.h"
#include "spill/locks/block_info_manager.h"
#include "spill/memory/block_eviction_handler.h"
#include "spill/memory/memory_store.h"
#include "tests/conformance/json.h"
#include "tests/conformance/trace_values.h"

namespace taskmem::conformance {

// A put that did not fit, by whichever name the trace goes on with it.
struct TracePartial {
  std::unique_ptr<TraceValues> values;
  std::unique_ptr<TraceSerializer> serializer;  // of a partially serialized block
  PartiallySerializedBlock serialized;
  PartiallyUnrolledIterator iterator;
};

// Threads may use it while others do.
class TraceStore final : public BlockEvictionHandler {
 public:
  TraceStore(const Json& cfg, UnifiedMemoryManager& pools);
  ~TraceStore();

  // A drop: to disk, if the block is to be there, and out of memory.
  StoreResult<StorageLevel> DropFromMemory(MemoryStore& store, const BlockId& id, BlockData data,
                                           int64_t writer) override;
  // The drop of that index from now on fails, once.
  void FailDrop(int64_t index);

  void AddToDisk(const BlockId& id);
  void RemoveFromDisk(const BlockId& id);
  void Clear();

  void AddPartial(int64_t name, std::unique_ptr<TracePartial> partial);
  // Values of `bytes_each` native bytes; the one of index `fails_at` cannot be closed.
  NativeValues& AddCloser(int64_t bytes_each, int64_t fails_at);
  // Throws TraceError where there is none.
  TracePartial& Partial(int64_t name);

  // What "st" says about the store.
  void AddState(Json& state);

  std::atomic<int64_t> native_bytes{0};

 private:
  std::list<NativeValues> closers_;  // before the store, whose values they close

 public:
  BlockInfoManager infos;
  MemoryStore store;

 private:
  std::mutex mutex_;
  std::set<std::string> disk_;
  std::optional<int64_t> drops_until_failure_;
  std::map<int64_t, std::unique_ptr<TracePartial>> partials_;
};

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_TRACE_STORE_H_
