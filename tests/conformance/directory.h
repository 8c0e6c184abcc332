// Replays every trace of a directory.
#ifndef TASKMEM_TESTS_CONFORMANCE_DIRECTORY_H_
#define TASKMEM_TESTS_CONFORMANCE_DIRECTORY_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <ostream>
#include <string>

namespace taskmem::conformance {

struct Totals {
  int64_t traces = 0;      // found: those below are among them
  int64_t steps = 0;       // replayed and compared
  int64_t mismatches = 0;  // traces in which something else happened
  int64_t unreadable = 0;
  std::map<std::string, int64_t> skipped;  // by reason
  bool left_thread_behind = false;         // ReplayResult

  int64_t AllSkipped() const;
  bool Succeeded() const { return traces > 0 && mismatches == 0 && unreadable == 0; }
};

// Replays the traces in `directory` and what is below it, or the one trace `directory` is, in
// the order of their paths. Mismatches and what could not be read are written to `out`, how
// far it is to `progress` every few seconds. Throws std::filesystem::filesystem_error.
Totals ReplayDirectory(const std::filesystem::path& directory, std::ostream& out,
                       std::ostream& progress);

// The last line among them: "traces N, steps N, mismatches N, skipped N".
void WriteTotals(const Totals& totals, std::ostream& out);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_DIRECTORY_H_
