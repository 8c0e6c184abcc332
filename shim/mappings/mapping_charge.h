// Who is charged for what a mapping call makes writable, and the charge itself, which is taken
// before the call.
#ifndef TASKMEM_SHIM_MAPPINGS_MAPPING_CHARGE_H_
#define TASKMEM_SHIM_MAPPINGS_MAPPING_CHARGE_H_

#include <cstdint>

#include "accounting/mappings/mapping_tag.h"
#include "shim/books/current_task.h"

namespace taskmem {

struct MappingOwner {
  CurrentTask task;
  uint32_t library;
  bool is_runtime;  // whose heap the mapping is
  bool is_allocator;
  bool is_sparse;
  bool may_refuse;
};

// `caller` is where the call returns to, or nullptr where that does not matter: memory mapped
// by an allocator or a runtime inside the program is not the current task's.
MappingOwner OwnerOfCall(const void* caller, bool may_be_allocators, uint64_t bytes);

// Charges `bytes` before the call that needs them, where the program asked for
// `request_bytes`. False: refused, errno is ENOMEM. No lock may be held.
bool ChargeAhead(const MappingOwner& owner, uint64_t bytes, uint64_t request_bytes);

// The same for what is charged by residency: it takes nothing yet, but it is refused where
// nothing is left.
bool HasRoomForSparse(const MappingOwner& owner, uint64_t request_bytes);

// The tag of a new range of `bytes` gets the stack that it is remembered by (sites.h); a managed
// heap's none. No lock may be held.
void NoteSite(const MappingOwner& owner, uint64_t bytes, MappingTag* tag);

// The call failed.
void CreditBack(const MappingOwner& owner, uint64_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPINGS_MAPPING_CHARGE_H_
