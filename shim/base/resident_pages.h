// Which pages of a file mapping this process has in its page table, as the kernel says.
#ifndef TASKMEM_SHIM_BASE_RESIDENT_PAGES_H_
#define TASKMEM_SHIM_BASE_RESIDENT_PAGES_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace taskmem {

// What the whole process has resident, in bytes; all 0: unknown.
struct ResidentBytes {
  uint64_t file;   // of files and of shared memory
  uint64_t other;  // all others
};

// Reads /proc/self: statm, and pagemap by PAGEMAP_SCAN (Linux 6.7), else entry by entry. One
// thread's.
class ResidentPages {
 public:
  // Gives the calling thread a table of descriptors of its own, so that what is open here is
  // no number the program might count on, and stays open. Where the system cannot do that,
  // the files are opened for each question. Whether it could.
  bool TakeOwnDescriptors();

  ResidentBytes Read();

  // Around calls of Count. False: /proc cannot be read; then everything counts as resident.
  bool Begin();
  void End();

  // Adds to counts[i] the resident pages of the i-th `chunk_bytes` from `start` on, of which
  // there are `count`. Private pages do not count. Everything is aligned to pages.
  void Count(uintptr_t start, size_t chunk_bytes, uint32_t count, uint8_t* counts);

  // Takes ranges of shared mappings out of the page table, all at once: a call for each would
  // interrupt the processors that run the program each time. Needs TakeOwnDescriptors. False:
  // the system cannot (before Linux 6.13); some may be out.
  bool Unmap(const iovec* ranges, uint32_t count);

 private:
  bool CountByScan(uintptr_t start, size_t chunk_bytes, uint32_t count, uint8_t* counts);
  bool CountByEntry(uintptr_t start, size_t chunk_bytes, uint32_t count, uint8_t* counts);

  static int Open(const char* path);

  int pagemap_ = -1;
  int statm_ = -1;
  int process_ = -1;
  bool keeps_open_ = false;
  bool has_vector_ = true;
  bool has_scan_ = true;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_RESIDENT_PAGES_H_
