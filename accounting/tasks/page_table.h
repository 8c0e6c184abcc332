// Page numbers, encoded addresses (13 bits of page number, 51 of offset), and which page
// of a task has which number.
//
//   63        51 50                                0
//   +-----------+----------------------------------+
//   |   page    |         offset in page           |   CONST-3, TMM-14
//   +-----------+----------------------------------+
#ifndef TASKMEM_ACCOUNTING_TASKS_PAGE_TABLE_H_
#define TASKMEM_ACCOUNTING_TASKS_PAGE_TABLE_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

inline constexpr int kPageNumberBits = 13;
inline constexpr int kOffsetBits = 51;
inline constexpr int kPageTableSize = 1 << kPageNumberBits;
inline constexpr uint64_t kOffsetMask = (uint64_t{1} << kOffsetBits) - 1;
// The largest page: 2^31 - 1 words (CONST-3).
inline constexpr int64_t kMaxPageBytes = ((int64_t{1} << 31) - 1) * 8;

// `page` is in [0, kPageTableSize); of `offset` the low 51 bits count.
constexpr uint64_t EncodeAddress(int page, uint64_t offset) {
  return (static_cast<uint64_t>(page) << kOffsetBits) | (offset & kOffsetMask);
}
constexpr int DecodePageNumber(uint64_t address) {
  return static_cast<int>(address >> kOffsetBits);
}
constexpr uint64_t DecodeOffset(uint64_t address) { return address & kOffsetMask; }

// Which of a task's page numbers are taken. Not thread-safe. All bits zero: none is.
class PageNumbers {
 public:
  // Takes the lowest free number (TMM-10). -1: all are taken.
  int Allocate();
  // The number must be taken.
  void Free(int number);
  // False for a number that does not exist, too.
  bool IsTaken(int number) const;
  bool IsEmpty() const { return taken_count_ == 0; }
  void Clear();

 private:
  uint64_t taken_[kPageTableSize / 64] = {};
  int taken_count_ = 0;
  int lowest_word_ = 0;  // all words before it are full
};

// A task's pages by number. A number is reserved, then gets a page; both may end apart,
// as in Spark, where a clean-up takes the pages and leaves the numbers (TMM-15).
// The lock of its owner guards it, but for what is said to need none. It lies in a
// mapping of its own, made with the first page, of which only what is used is resident.
class PageTable {
 public:
  struct Page {
    char* base = nullptr;  // nullptr: no page
    int64_t size = 0;
    uint64_t serial = 0;  // from 1: no two pages of a table have the same
  };

  static constexpr int kFull = -1;
  static constexpr int kNoMemory = -2;

  PageTable() = default;
  ~PageTable();
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  // Takes the lowest free number. kFull, kNoMemory.
  int Reserve();
  // The number has been reserved and has no page.
  void Unreserve(int number);
  bool IsReserved(int number) const;

  // Gives a reserved number its page, and returns the page's serial number.
  uint64_t Put(int number, char* base, int64_t size);
  // Takes the page away; with it goes its number, unless `keep_number`. No page: that
  // number has none, or another.
  Page Take(int number, uint64_t serial, bool keep_number);
  // The page of a number now, whatever its serial number is.
  Page Get(int number) const;
  int live_pages() const { return live_pages_; }
  PageNumbers reserved() const;

  // Need no lock: numbers are decoded for every record. The answer is right for a page
  // that nobody frees meanwhile. nullptr: no such page.
  char* BaseOf(int number) const;
  char* BaseOf(int number, uint64_t serial) const;

 private:
  struct Mapped;

  bool Map();

  std::atomic<Mapped*> mapped_{nullptr};
  uint64_t last_serial_ = 0;
  int live_pages_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_TASKS_PAGE_TABLE_H_
