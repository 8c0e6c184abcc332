#include "shim/malloc/mapped_storage.h"

#include <atomic>

#include "shim/contexts/charge.h"
#include "shim/heap/heap.h"

namespace taskmem {

namespace {

std::atomic<uint64_t> g_mapped_storage_bytes{0};

}  // namespace

uint64_t MappedStorageBytes() { return g_mapped_storage_bytes.load(std::memory_order_relaxed); }

void CountMappedStorage(int64_t bytes) {
  g_mapped_storage_bytes.fetch_add(static_cast<uint64_t>(bytes), std::memory_order_relaxed);
  if (bytes > 0) {
    Charge(kStorageSlot, static_cast<uint64_t>(bytes), ChargeMode::kOverQuota);
  } else {
    Credit(kStorageSlot, static_cast<uint64_t>(-bytes));
  }
}

}  // namespace taskmem
