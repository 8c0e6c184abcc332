// Charges of mappings, and what happens to one that its quota or the pools do not allow: the
// same as to an allocation (request_limit.h).
#ifndef TASKMEM_SHIM_LIMIT_MAPPING_LIMIT_H_
#define TASKMEM_SHIM_LIMIT_MAPPING_LIMIT_H_

#include <cstdint>

#include "shim/books/current_task.h"

namespace taskmem {

// Charges `bytes` for a request of `request_bytes`. False: the quota or the pools do not allow
// it.
bool TryChargeMapped(uint32_t slot, uint64_t bytes, uint64_t request_bytes);
void ChargeMappedOverQuota(uint32_t slot, uint64_t bytes);
void CreditMapped(uint32_t slot, uint64_t bytes);

// After TryChargeMapped said no: makes room, and charges `bytes`, or refuses. The program
// asked for `request_bytes`. Where `may_refuse` is not set it overdraws instead. The caller
// holds no lock. Keeps errno.
bool MakeRoomForMapping(const CurrentTask& task, uint64_t bytes, uint64_t request_bytes,
                        bool may_refuse);

// A look has found that the task in `slot` is over its quota by what it touched: nothing was
// asked for. Where policy is to kill and spill hooks do not help, the process ends. For a thread of
// the library's own, without locks.
void EndIfOverQuota(uint32_t slot);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_LIMIT_MAPPING_LIMIT_H_
