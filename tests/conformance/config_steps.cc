// Lines that stand alone: sizes from settings, encodings, texts.
#include <string>

#include "accounting/base/size_text.h"
#include "accounting/spark/memory_config.h"
#include "accounting/spark/packed_record_pointer.h"
#include "accounting/tasks/page_table.h"
#include "tests/conformance/steps.h"
#include "tests/conformance/text.h"

namespace taskmem::conformance {
namespace {

constexpr int64_t kArrayHeaderBytes = 16;

MemoryManagerOptions HeapOptions(int64_t max_heap_bytes, int64_t storage_region_bytes) {
  MemoryManagerOptions options;
  options.compatibility = Compatibility::kSpark;
  options.max_heap_bytes = max_heap_bytes;
  options.on_heap_storage_region_bytes = storage_region_bytes;
  return options;
}

// The sizes `in` gives for both modes. Returns what Spark refuses them with.
MemoryError ReadSizes(const Json& in, MemoryManagerOptions* options) {
  *options = HeapOptions(in.value("max_heap", int64_t{0}), in.value("storage_region", int64_t{0}));
  if (const MemoryError error = UnifiedMemoryManager::Validate(*options)) return error;
  OffHeapSettings off_heap;
  off_heap.enabled = in.value("off_heap_enabled", false) || in.value("legacy_off_heap", false);
  off_heap.size_bytes = SizeOf(in.value("off_heap_size", Json(0)));
  off_heap.storage_fraction = in.value("storage_fraction", 0.0);
  return ApplyOffHeapSettings(off_heap, options);
}

Json PoolSizes(const UnifiedMemoryManager& pools, MemoryMode mode) {
  const UnifiedMemoryManager::Pools now = pools.GetPools(mode);
  return {now.execution_size, now.execution_used, now.storage_size, now.storage_used};
}

Outcome SizeFromConfig(const Json&, const Json& in) {
  HeapSettings settings;
  settings.system_memory_bytes = in.value("system_memory", int64_t{0});
  if (in.value("testing", false)) settings.reserved_bytes = 0;
  if (in.contains("reserved")) settings.reserved_bytes = in.at("reserved").get<int64_t>();
  settings.memory_fraction = in.value("memory_fraction", 0.0);
  settings.storage_fraction = in.value("storage_fraction", 0.0);
  if (in.contains("executor_memory")) {
    settings.executor_memory_bytes = SizeOf(in.at("executor_memory"));
  }
  const Result<HeapSizes> sizes = SizesFromSettings(settings);
  if (!sizes.ok()) return Failure(sizes.error(), Caller::kManager);
  const MemoryManagerOptions options =
      HeapOptions((*sizes).max_heap_bytes, (*sizes).storage_region_bytes);
  if (const MemoryError error = UnifiedMemoryManager::Validate(options)) {
    return Failure(error, Caller::kManager);
  }
  const UnifiedMemoryManager manager(options);
  const UnifiedMemoryManager::Pools pools = manager.GetPools(MemoryMode::kOnHeap);
  return Answer({{"max_heap", (*sizes).max_heap_bytes},
                 {"max_on_heap_storage", manager.MaxStorageMemory(MemoryMode::kOnHeap)},
                 {"pools", {pools.execution_size, pools.storage_size}}});
}

Outcome Construct(const Json&, const Json& in) {
  MemoryManagerOptions options;
  if (const MemoryError error = ReadSizes(in, &options)) return Failure(error, Caller::kManager);
  const UnifiedMemoryManager manager(options);
  return Answer({{"on", PoolSizes(manager, MemoryMode::kOnHeap)},
                 {"off", PoolSizes(manager, MemoryMode::kOffHeap)},
                 {"tungsten_mode", NameOf(manager.tungsten_memory_mode())}});
}

Outcome PageSize(const Json& header, const Json& in) {
  MemoryManagerOptions options;
  if (const MemoryError error = ReadSizes(in, &options)) return Failure(error, Caller::kManager);
  if (in.contains("buffer_page_size")) return Answer(SizeOf(in.at("buffer_page_size")));
  const bool subtracts = header.value("array_header_subtracted", false);
  return Answer(
      DefaultPageSizeBytes(options, in.value("cores", 0), subtracts ? kArrayHeaderBytes : 0));
}

// The library's function takes numbers that exist; others are for a manager to refuse.
Result<uint64_t> Encode(const Json& in) {
  const int page = in.value("page", 0);
  const auto offset = static_cast<uint64_t>(in.value("offset", int64_t{0}));
  if (page >= 0) return EncodeAddress(page, offset);
  UnifiedMemoryManager pools(HeapOptions(2, 1));
  HeapMemoryAllocator heap;
  UnsafeMemoryAllocator unsafe;
  const TaskMemoryManager manager(pools, 0, heap, unsafe);
  MemoryBlock block;
  block.mode = MemoryMode::kOnHeap;
  block.page_number = page;
  return manager.EncodePageNumberAndOffset(block, offset);
}

Outcome Address(const Json&, const Json& in) {
  const Result<uint64_t> address = Encode(in);
  if (!address.ok()) return Failure(address.error(), Caller::kTaskMemory);
  return Answer(
      {{"address", static_cast<int64_t>(*address)}, {"page", DecodePageNumber(*address)}});
}

Outcome Pack(const Json&, const Json& in) {
  const Result<uint64_t> address = Encode(in);
  if (!address.ok()) return Failure(address.error(), Caller::kTaskMemory);
  const Result<uint64_t> packed =
      PackedRecordPointer::PackPointer(*address, in.value("partition", 0));
  if (!packed.ok()) return Failure(packed.error(), Caller::kDecode);
  const PackedRecordPointer pointer(*packed);
  return Answer({{"address", static_cast<int64_t>(*address)},
                 {"packed", static_cast<int64_t>(*packed)},
                 {"partition", pointer.partition_id()},
                 {"record", static_cast<int64_t>(pointer.record_address())},
                 {"page", DecodePageNumber(pointer.record_address())},
                 {"offset", static_cast<int64_t>(DecodeOffset(pointer.record_address()))}});
}

Outcome Text(const Json&, const Json& in) {
  return Answer(SizeText(in.value("bytes", int64_t{0})).c_str());
}

}  // namespace

ConfigOperation FindConfigOperation(const std::string& op) {
  static const ConfigOperations kOperations = {
      {"address", Address},    {"construct", Construct}, {"pack", Pack},
      {"page_size", PageSize}, {"text", Text},           {"size_from_config", SizeFromConfig},
  };
  for (const ConfigOperations* operations : {&kOperations, &LevelOperations()}) {
    const auto operation = operations->find(op);
    if (operation != operations->end()) return operation->second;
  }
  return nullptr;
}

}  // namespace taskmem::conformance
