#include "tests/conformance/trace.h"

#include <zlib.h>

#include <array>
#include <memory>
#include <set>

namespace taskmem::conformance {
namespace {

constexpr std::string_view kGzipEnding = ".jsonl.gz";
constexpr std::string_view kPlainEnding = ".jsonl";

// Plain text is passed through as it is, so .jsonl is read the same way.
std::string ReadText(const std::filesystem::path& path) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose_r);
  if (file == nullptr) throw TraceError("cannot open it");
  std::string text;
  std::array<char, 1 << 16> buffer;
  int length = 0;
  while ((length = gzread(file.get(), buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), length);
  }
  int error = Z_OK;
  const char* const message = gzerror(file.get(), &error);
  if (length < 0 || error != Z_OK) throw TraceError(std::string("bad gzip: ") + message);
  if (path.native().ends_with(kGzipEnding) && gzdirect(file.get()) != 0) {
    throw TraceError("not gzip");
  }
  return text;
}

void CheckHeader(const Json& header) {
  if (!header.is_object() || header.value("format", "") != "spark-memory-trace") {
    throw TraceError("no header");
  }
  if (header.value("version", 0) != 1) throw TraceError("unknown version");
}

Step ParseStep(const Json& line, int64_t index) {
  static const std::set<std::string> kHappened = {"res",   "err",       "blocked", "ev",
                                                  "woken", "waiter_ev", "st"};
  Step step;
  step.expected = Json::object();
  step.in = Json::object();
  for (const auto& [key, value] : line.items()) {
    if (key == "i") {
      step.i = value.get<int64_t>();
    } else if (key == "op") {
      step.op = value.get<std::string>();
    } else if (key == "thr") {
      step.thread = value.get<std::string>();
    } else if (key == "in") {
      step.in = value;
    } else if (kHappened.contains(key)) {
      step.expected[key] = value;
    } else {
      throw TraceError("unknown key \"" + key + "\"");
    }
  }
  if (step.i != index) throw TraceError("steps are missing");
  if (step.op.empty() || !step.in.is_object()) throw TraceError("not a step");
  return step;
}

}  // namespace

bool Trace::HasTag(std::string_view tag) const {
  const auto tags = header.find("tags");
  if (tags == header.end()) return false;
  for (const Json& each : *tags) {
    if (each == tag) return true;
  }
  return false;
}

bool IsTraceFile(const std::filesystem::path& path) {
  return path.native().ends_with(kPlainEnding) || path.native().ends_with(kGzipEnding);
}

Trace ReadTrace(const std::filesystem::path& path) { return ParseTrace(ReadText(path)); }

Trace ParseTrace(std::string_view text) {
  Trace trace;
  size_t line_number = 0;
  try {
    while (!text.empty()) {
      ++line_number;
      const std::string_view line = text.substr(0, text.find('\n'));
      if (line.size() == text.size()) throw TraceError("the last line has no end");
      text.remove_prefix(line.size() + 1);
      const Json json = Json::parse(line);
      if (line_number == 1) {
        CheckHeader(json);
        trace.header = json;
        trace.name = json.value("name", "");
      } else {
        trace.steps.push_back(ParseStep(json, static_cast<int64_t>(trace.steps.size())));
      }
    }
  } catch (const std::exception& error) {
    throw TraceError("line " + std::to_string(line_number) + ": " + error.what());
  }
  if (line_number == 0) throw TraceError("it is empty");
  if (trace.steps.empty()) throw TraceError("it has no steps");
  return trace;
}

}  // namespace taskmem::conformance
