#include "shim/mappings/mapping_charge.h"

#include <errno.h>

#include <atomic>

#include "shim/books/process_task.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/limit/mapping_limit.h"
#include "shim/mapping_book/callers.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/residency_charges.h"
#include "shim/mappings/profiles.h"
#include "shim/sites/sites.h"

namespace taskmem {

MappingOwner OwnerOfCall(const void* caller, bool may_be_allocators, uint64_t bytes) {
  LookIfPoolThread();
  MappingOwner owner = {GetCurrentTask(), 0, false, false, false, MayRefuseMappings()};
  if (caller == nullptr) return owner;
  owner.library = LibraryOf(caller);
  const Library& library = LibraryAt(owner.library);
  if (library.allocator == Allocator::kNone) return owner;
  const bool is_runtime = IsRuntime(library.allocator);
  owner.is_runtime = is_runtime;
  if (is_runtime) owner.may_refuse = false;
  if (may_be_allocators && IsAllocatorsOwn(library, bytes)) {
    // A managed heap has a limit of its own: no task's quota bounds it.
    owner.task = is_runtime ? kUntrackedTask : g_process_task;
    owner.is_allocator = true;
    owner.is_sparse = library.is_sparse;
  }
  return owner;
}

bool ChargeAhead(const MappingOwner& owner, uint64_t bytes, uint64_t request_bytes) {
  if (bytes == 0) return true;
  const uint32_t slot = owner.task.slot;
  if (g_book_place.residency_bytes.load(std::memory_order_relaxed) != 0) {
    SampleResidencyIfDue(MayBeNearQuota(slot));
  }
  if (TryChargeMapped(slot, bytes, request_bytes)) {
    constexpr uint64_t kWorthALook = 1 << 20;
    if (bytes >= kWorthALook) FitKeptMemory();
    return true;
  }
  // A handler inside the lock makes no room.
  if (HoldsBook()) {
    ChargeMappedOverQuota(slot, bytes);
    return true;
  }
  if (MakeRoomForMapping(owner.task, bytes, request_bytes, owner.may_refuse)) return true;
  errno = ENOMEM;
  return false;
}

bool HasRoomForSparse(const MappingOwner& owner, uint64_t request_bytes) {
  constexpr uint64_t kPage = 4096;
  if (!ChargeAhead(owner, kPage, request_bytes)) return false;
  CreditMapped(owner.task.slot, kPage);
  NoteSparse(owner.task.slot, request_bytes);
  return true;
}

void NoteSite(const MappingOwner& owner, uint64_t bytes, MappingTag* tag) {
  if (owner.is_runtime || HoldsBook()) return;
  const MappingSample sample = SampleMapping(bytes);
  if (sample.site == 0) return;
  // One that comes to lie beside it is another sample.
  static std::atomic<uint8_t> samples{0};
  constexpr uint8_t kSerials = (1 << MappingTag::kScaleShift) - 1;
  const uint8_t serial = samples.fetch_add(1, std::memory_order_relaxed) & kSerials;
  tag->site = sample.site;
  tag->serial = static_cast<uint8_t>(sample.scale << MappingTag::kScaleShift | serial);
}

void CreditBack(const MappingOwner& owner, uint64_t bytes) {
  if (bytes != 0) CreditMapped(owner.task.slot, bytes);
}

}  // namespace taskmem
