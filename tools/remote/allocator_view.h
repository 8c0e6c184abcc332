// What the allocator of another process has, read from its tables while it runs on: the page
// map says which 64 KiB belong to a task, a page's header how much of it is in use, and the
// owner arrays of shared pages whose each block is.
//
// What is read in the middle of a change may be wrong for that page; nothing here trusts it
// further than to count resident bytes, at most once each.
#ifndef TASKMEM_TOOLS_REMOTE_ALLOCATOR_VIEW_H_
#define TASKMEM_TOOLS_REMOTE_ALLOCATOR_VIEW_H_

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "accounting/audit/audit_layout.h"
#include "accounting/audit/kept_segment.h"
#include "tools/remote/remote_memory.h"
#include "tools/remote/shares.h"

namespace taskmem {

class AllocatorView {
 public:
  // Both outlive it.
  AllocatorView(const RemoteMemory& memory, const AuditLayout& layout);

  // Adds what the allocator has of [start, end), addresses of 4 KiB pages.
  void AddShares(uint64_t start, uint64_t end, Shares* shares);

  struct Block {
    uint32_t slot = 0;
    uint64_t large_bytes = 0;  // 0: not a large block
  };
  // The live block at this address, the first byte of one; nothing where there is none.
  std::optional<Block> FindBlock(uint64_t address);

 private:
  struct Owners {
    uint64_t address = 0;
    uint64_t start = 0;
    uint32_t block_bytes = 0;
    std::vector<uint16_t> marks;  // slot + 1; empty: cannot be read
  };
  class Residency;

  // One of the two tables of the page map.
  struct Table {
    uint64_t root;
    uint64_t root_entries;
    std::unordered_map<uint64_t, uint64_t> leaves;  // by index into the first level; 0: none
    std::unordered_map<uint64_t, std::vector<uint64_t>> groups;  // of entries, as read
  };
  // A large block.
  struct Range {
    uint64_t start = 0;
    uint64_t end = 0;
    uint32_t slot = 0;
    bool Meets(uint64_t from, uint64_t to) const { return start < to && from < end; }
  };

  uint64_t Leaf(Table* table, uint64_t index);
  uint64_t Entry(Table* table, uint64_t number);
  Range HugeIn(uint64_t window);
  Range LargeAt(uint64_t slice);
  bool IsSegment(uint64_t address) const;
  const Owners& ReadOwners(uint64_t address);
  void AddWindow(uint64_t window, uint64_t start, uint64_t end, Shares* shares);
  uint64_t AddOwned(uint64_t window, uint64_t index, const Residency& residency,
                    uint64_t slice_start, uint64_t slice_end, uint32_t slot, Shares* shares);
  uint64_t AddShared(uint64_t owners, const Residency& residency, uint64_t slice_start,
                     uint64_t slice_end, Shares* shares);
  uint64_t AddLarge(const Range& block, const Residency& residency, uint64_t slice_start,
                    uint64_t slice_end, Shares* shares);

  const RemoteMemory& memory_;
  const AuditLayout& layout_;
  Table slices_;
  Table windows_;
  std::set<uint64_t> cached_segments_;
  std::vector<KeptSegment> kept_segments_;
  uint64_t headers_of_ = 0;  // the segment whose slices are in headers_
  std::vector<unsigned char> headers_;
  Owners owners_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_ALLOCATOR_VIEW_H_
