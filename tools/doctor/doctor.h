// Says beforehand what the preload library can and cannot see in a program, and what to do.
#ifndef TASKMEM_TOOLS_DOCTOR_DOCTOR_H_
#define TASKMEM_TOOLS_DOCTOR_DOCTOR_H_

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "shim/options/options.h"

namespace taskmem {

enum class Severity {
  kOk,       // it works
  kNote,     // it works, and there is something to know
  kWarning,  // a part of the memory is not seen, or a limit does not hold
  kFailure   // nothing is seen, and nothing is enforced
};

struct Finding {
  Severity severity = Severity::kOk;
  std::string what;
  std::string advice;  // what to do; empty: nothing
};
using Findings = std::vector<Finding>;

// The program at `path`, which can be executed, and the libraries that it is linked with.
void CheckProgram(const std::string& path, Findings* findings);

// A live process: what it has loaded, also what it was not linked with. False: there is none.
bool CheckProcess(pid_t pid, const Options& options, Findings* findings);

// Where it runs: memory, /dev/shm, folders, filters. Some of it makes what run would make.
void CheckHost(const Options& options, Findings* findings);

// A line each, and a line of advice below; the last line is a sum.
std::string FormatFindings(const Findings& findings, size_t columns);

Severity WorstOf(const Findings& findings);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_DOCTOR_DOCTOR_H_
