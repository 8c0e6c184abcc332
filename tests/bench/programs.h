// The programs that bench.cc times, as commands.
#ifndef TASKMEM_TESTS_BENCH_PROGRAMS_H_
#define TASKMEM_TESTS_BENCH_PROGRAMS_H_

#include <string>
#include <vector>

#include "tests/bench/child.h"

namespace taskmem::bench {

struct Program {
  std::string name;
  Command command;
  // The bar of taskmem, in ratios to libmimalloc: time, and peak resident memory.
  double max_time = 1.10;
  double max_memory = 1.15;
  bool is_in_means = true;  // what costs most has bars of its own only
  bool is_workload = true;  // the program `workloads`
};

// Every program, or the one called `only`. A note for each that cannot run here.
std::vector<Program> MakePrograms(const std::string& only, std::vector<std::string>* notes);

// Removes what MakePrograms wrote.
void RemoveProgramFiles();

}  // namespace taskmem::bench

#endif  // TASKMEM_TESTS_BENCH_PROGRAMS_H_
