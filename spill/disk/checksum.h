// XXH3 of bytes that come piece by piece: finds what a disk did to them, not what somebody
// who wants to deceive did.
#ifndef TASKMEM_SPILL_DISK_CHECKSUM_H_
#define TASKMEM_SPILL_DISK_CHECKSUM_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

class Checksum {
 public:
  Checksum();
  void Add(const void* bytes, size_t count);
  // Of all that was added so far.
  uint64_t Value() const;

  static uint64_t Of(const void* bytes, size_t count);

 private:
  alignas(64) char state_[576];
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_DISK_CHECKSUM_H_
