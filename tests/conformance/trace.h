// A recording of Spark, as read from a file: the format is described beside the traces.
#ifndef TASKMEM_TESTS_CONFORMANCE_TRACE_H_
#define TASKMEM_TESTS_CONFORMANCE_TRACE_H_

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/json.h"

namespace taskmem::conformance {

// A trace that cannot be read, or asks for what makes no sense. The text says why.
class TraceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Step {
  int64_t i = 0;
  std::string op;
  std::string thread;  // "thr"; empty in lines that stand alone
  Json in;             // an object
  Json expected;       // what happened: res, err, blocked, ev, woken, waiter_ev, st
};

struct Trace {
  std::string name;
  Json header;
  std::vector<Step> steps;

  bool HasTag(std::string_view tag) const;
  // Recorded under a running Spark: without log lines.
  bool IsWild() const { return header.value("profile", "") == "wild"; }
};

// True for .jsonl and .jsonl.gz.
bool IsTraceFile(const std::filesystem::path& path);

// Throws TraceError.
Trace ReadTrace(const std::filesystem::path& path);

// The lines of a trace. Throws TraceError.
Trace ParseTrace(std::string_view text);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_TRACE_H_
