// The overflow file of this process as its pager sees it: whose a chunk is, what of it is
// resident, how much may be.
#ifndef TASKMEM_SHIM_OVERFLOW_OVERFLOW_HOST_H_
#define TASKMEM_SHIM_OVERFLOW_OVERFLOW_HOST_H_

#include "shim/base/resident_pages.h"
#include "spill/overflow/overflow_file.h"
#include "spill/overflow/overflow_pager.h"

namespace taskmem {

// Lock-free; CountPages between Begin and End of pages(), by one thread.
class OverflowHost final : public OverflowPager::Host {
 public:
  constexpr OverflowHost() = default;
  void Open(OverflowFile& file) { file_ = &file; }
  ResidentPages& pages() { return pages_; }
  void NoteResident(uint64_t bytes) { resident_.store(bytes, std::memory_order_relaxed); }
  // What the process has resident beside files: what nobody is charged for may have grown.
  void NotePrivate(uint64_t bytes);
  // Something was that much above its share when it was looked at.
  void NoteLate(uint64_t bytes);
  // That growth counts from here.
  void ForgetPrivate() { least_unclaimed_ = INT64_MAX; }

  uint64_t ChunkEnd() override;
  void CountPages(uint64_t first, uint32_t count, uint8_t* pages) override;
  uint32_t OwnerOf(uint64_t chunk) override;
  OverflowPager::Share ShareOf(uint32_t slot) override;
  uint64_t CacheBytes() override;
  void Unmap(const OverflowPager::Run* runs, uint32_t count) override;
  bool WriteAndDrop(uint64_t first, uint64_t count) override;
  void NotePushedOut(uint32_t slot, uint64_t bytes) override;
  void NoteReturned(uint32_t slot, uint64_t bytes) override;

 private:
  uintptr_t AddressOf(uint64_t chunk) const {
    return file_->begin() + chunk * OverflowPager::kChunkBytes;
  }

  OverflowFile* file_ = nullptr;
  ResidentPages pages_;
  std::atomic<uint64_t> resident_{0};
  int64_t least_unclaimed_ = INT64_MAX;  // private and resident, and charged to nobody
  uint64_t unclaimed_growth_ = 0;
  uint64_t lag_bytes_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OVERFLOW_OVERFLOW_HOST_H_
