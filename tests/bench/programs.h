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
};

// Every program, or the one called `only`. A note for each that cannot run here.
std::vector<Program> MakePrograms(const std::string& only, std::vector<std::string>* notes);

// Removes what MakePrograms wrote.
void RemoveProgramFiles();

}  // namespace taskmem::bench

#endif  // TASKMEM_TESTS_BENCH_PROGRAMS_H_
