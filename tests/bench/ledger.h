// The charge path of the preload library without the library: books, grants and pools
// in this process, charged by threads as the allocator charges.
#ifndef TASKMEM_TESTS_BENCH_LEDGER_H_
#define TASKMEM_TESTS_BENCH_LEDGER_H_

#include <cstdint>

namespace taskmem::bench {

enum class ChargePath {
  kBook,         // the book alone: no pools
  kGrants,       // the book, and the pools where its grant does not cover the charge
  kEveryCharge,  // the pools at every charge and credit: what a grant saves
};

struct ChargeLoad {
  int threads = 1;
  bool shares_task = false;  // all threads work for one task; else each for its own
  uint64_t most_bytes = 0;   // a thread holds up to this, and less than a step at times
  uint64_t charges = 0;      // of all threads together; each is credited, too
};

struct ChargeCost {
  double cpu_nanoseconds;  // of a charge and its credit, all threads' time
  double charges_per_second;
  double processors;    // CPU time for each second of the clock
  double pool_entries;  // for a million charges: calls that take the pools' lock
};

// Every thread goes to and fro between random levels in steps of 4 KiB.
ChargeCost MeasureCharges(ChargePath path, const ChargeLoad& load);

// Nanoseconds of UnifiedMemoryManager's acquire and release, on one thread and without
// a wait: of a task that holds more, and of one that begins and ends with it.
double MeasureAcquireRelease(bool holds_more, uint64_t rounds);

}  // namespace taskmem::bench

#endif  // TASKMEM_TESTS_BENCH_LEDGER_H_
