// What the programs that go beyond their quota have in common.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_OVERFLOW_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_OVERFLOW_H_

#include <unistd.h>

#include <cstdio>

#include "tests/programs/support/tasks.h"

// A block that says itself what it must hold: its size and a seed, then numbers from both.
struct Filled {
  uint64_t* words;
  size_t bytes;
  uint64_t seed;

  void Fill() const {
    for (size_t i = 0; i < bytes / 8; ++i) words[i] = seed + i * 0x9e3779b97f4a7c15u;
  }
  bool IsIntact(size_t first_bytes = SIZE_MAX) const {
    const size_t count = (first_bytes < bytes ? first_bytes : bytes) / 8;
    for (size_t i = 0; i < count; ++i) {
      if (words[i] != seed + i * 0x9e3779b97f4a7c15u) return false;
    }
    return true;
  }
};

// Takes and fills one. The program ends where there is none.
inline Filled Take(size_t bytes, uint64_t seed) {
  const Filled filled = {static_cast<uint64_t*>(malloc(bytes)), bytes, seed};
  REQUIRE(filled.words != nullptr);
  filled.Fill();
  return filled;
}

// The largest part of this process that was ever resident.
inline uint64_t PeakResidentBytes() {
  FILE* status = fopen("/proc/self/status", "r");
  REQUIRE(status != NULL);
  char line[256];
  unsigned long long kib = 0;
  while (fgets(line, sizeof(line), status) != NULL) {
    if (sscanf(line, "VmHWM: %llu", &kib) == 1) break;
  }
  fclose(status);
  REQUIRE(kib != 0);
  return kib * 1024;
}

// How the program ends where everything was right, but the pager had its turn too late: the
// machine may have had no processor for it. The test tries again then.
constexpr int kTooResident = 9;

// Of a task that went far beyond its quota: nothing was refused or overdrawn, and what was
// resident stayed at the quota and a tenth, beside what the program had before.
inline void RequireKeptSmall(uint64_t id, uint64_t resident_before) {
  const taskmem_usage usage = Usage(id);
  REQUIRE_COMPARE(usage.refusals, ==, 0);
  REQUIRE_COMPARE(usage.overdrafts, ==, 0);
  REQUIRE_COMPARE(usage.peak_charged_bytes, <=, usage.quota_bytes);
  const uint64_t resident = PeakResidentBytes() - resident_before;
  if (resident <= usage.quota_bytes + usage.quota_bytes / 10) return;
  fprintf(stderr, "%llu bytes were resident under a quota of %llu\n",
          static_cast<unsigned long long>(resident),
          static_cast<unsigned long long>(usage.quota_bytes));
  _exit(kTooResident);
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_OVERFLOW_H_
