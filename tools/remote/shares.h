// What is known of the resident bytes of a range, summed up by class, task and size of block.
#ifndef TASKMEM_TOOLS_REMOTE_SHARES_H_
#define TASKMEM_TOOLS_REMOTE_SHARES_H_

#include <algorithm>
#include <bit>
#include <compare>
#include <cstdint>
#include <map>

#include "accounting/audit/ledger.h"

namespace taskmem {

// The allocator's size class of a block: in steps of an eighth to a quarter of its size.
inline uint64_t SizeClassOf(uint64_t block_bytes) {
  const uint64_t step = std::max<uint64_t>(std::bit_floor(block_bytes) / 4, 8);
  return (block_bytes + step - 1) / step * step;
}

struct Shares {
  struct Key {
    LedgerClass ledger_class;
    uint32_t slot;
    uint64_t size_class;  // of blocks; 0: not in blocks
    auto operator<=>(const Key&) const = default;
  };
  std::map<Key, uint64_t> bytes;
  uint64_t covered_bytes = 0;  // of address space, resident or not

  void Add(LedgerClass ledger_class, uint32_t slot, uint64_t size_class, uint64_t resident_bytes) {
    if (resident_bytes != 0) bytes[{ledger_class, slot, size_class}] += resident_bytes;
  }
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_SHARES_H_
