// The programs that bench.cc times. Each does the same work whatever allocator
// it runs under, and returns a checksum that must not depend on it either.
#ifndef TASKMEM_TESTS_BENCH_WORKLOAD_H_
#define TASKMEM_TESTS_BENCH_WORKLOAD_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace taskmem::bench {

struct Workload {
  const char* name;
  uint64_t (*run)();
};

// One thread.
uint64_t RunPingPong();
uint64_t RunRandom();
uint64_t RunLarge();
uint64_t RunTree();
uint64_t RunStrings();
// Many threads.
uint64_t RunLarson();
uint64_t RunXmalloc();
uint64_t RunMstress();
uint64_t RunChurn();
uint64_t RunSh();
// What costs most.
uint64_t RunRequests();
uint64_t RunSwitching();
uint64_t RunAddresses();
uint64_t RunUntouched();
uint64_t RunCallocs();
uint64_t RunMedium();
uint64_t RunAligned();
uint64_t RunGrowing();
uint64_t RunCrossFree();
uint64_t RunInTurn();

// A fast generator with a seed, so that every allocator sees the same requests.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 0x1234567) {}

  uint64_t Next() {
    uint64_t x = (state_ += 0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

  // Below `bound`, by multiplication: a division would cost as much as a malloc.
  uint64_t Below(uint64_t bound) { return ((Next() >> 32) * bound) >> 32; }

  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }

 private:
  uint64_t state_;
};

// Keeps the compiler from removing a malloc and its free.
inline void Escape(void* pointer) { asm volatile("" : : "r"(pointer) : "memory"); }

// Blocks that know their size, both ends written: a block that two owners got,
// or that somebody wrote over, is found when it is freed.
inline constexpr size_t kMinTaggedBytes = 16;

inline char* NewTagged(size_t bytes) {
  char* block = static_cast<char*>(malloc(bytes));
  if (block == nullptr) {
    std::fprintf(stderr, "malloc(%zu) failed\n", bytes);
    std::exit(3);
  }
  const uint64_t tag = bytes ^ reinterpret_cast<uintptr_t>(block);
  std::memcpy(block, &bytes, sizeof(bytes));
  std::memcpy(block + bytes - sizeof(tag), &tag, sizeof(tag));
  return block;
}

// The block's size, for a checksum.
inline size_t FreeTagged(char* block) {
  size_t bytes;
  uint64_t tag;
  std::memcpy(&bytes, block, sizeof(bytes));
  std::memcpy(&tag, block + bytes - sizeof(tag), sizeof(tag));
  if (tag != (bytes ^ reinterpret_cast<uintptr_t>(block))) {
    std::fprintf(stderr, "a block was damaged\n");
    std::abort();
  }
  free(block);
  return bytes;
}

}  // namespace taskmem::bench

#endif  // TASKMEM_TESTS_BENCH_WORKLOAD_H_
