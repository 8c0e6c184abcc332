#include "tests/bench/programs.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

namespace taskmem::bench {
namespace {

constexpr const char* kWorkloads[] = {"pingpong", "random",  "large",   "tree",  "strings",
                                      "larson",   "xmalloc", "mstress", "churn", "sh"};

struct HardCase {
  const char* name;
  double max_time;
  double max_memory;
};
constexpr HardCase kHardCases[] = {
    {"requests", 1.5, 1.5},    {"switching", 1.3, 1.5}, {"addresses", 1.05, 1.25},
    {"untouched", 1.05, 1.25}, {"callocs", 1.05, 1.15}, {"medium", 1.05, 1.25},
    {"aligned", 1.05, 1.25},   {"growing", 1.1, 1.25},  {"crossfree", 1.0, 1.2},
    {"inturn", 1.1, 1.1},
};

// Objects of many sizes and lives; its output does not depend on the allocator.
constexpr char kScript[] = R"(
import random
source = random.Random(7)
total = 0
for turn in range(6):
    table = {}
    for i in range(60000):
        key = 'key-%d' % source.randrange(40000)
        table.setdefault(key, []).append((i, str(i) * source.randrange(1, 6)))
    rows = [{'id': i, 'text': 'x' * (i % 200), 'list': list(range(i % 12))} for i in range(40000)]
    source.shuffle(rows)
    rows = rows[::2]
    total += sum(len(v) for v in table.values()) + sum(len(r['text']) for r in rows)
    text = ','.join(k for k in sorted(table))
    total += len(text.split(','))
print(total)
)";

std::string g_script_path;

std::string WriteScript() {
  const char* folder = getenv("TMPDIR");
  std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/bench-XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) Fail("cannot write " + path);
  constexpr ssize_t kBytes = sizeof(kScript) - 1;
  if (write(file, kScript, kBytes) != kBytes) Fail("cannot write " + path);
  close(file);
  return path;
}

// The interpreter itself: what PATH names may be a script that starts it, and
// then that script's shell would be measured, too.
std::string FindPython() {
  for (const std::string& folder : Split(getenv("PATH") != nullptr ? getenv("PATH") : "", ':')) {
    const std::string path = folder + "/python3";
    if (access(path.c_str(), X_OK) != 0) continue;
    const Command ask = {{path, "-c", "import sys; print(sys.executable, end='')"}, {}};
    const Outcome outcome = Run(ask, {});
    if (outcome.failure.empty() && !outcome.output.empty()) {
      return std::filesystem::canonical(outcome.output).string();
    }
  }
  return "";
}

}  // namespace

std::vector<Program> MakePrograms(const std::string& only, std::vector<std::string>* notes) {
  std::vector<Program> programs;
  const std::string workloads = FindBuilt("tests/bench/workloads");
  if (workloads.empty()) Fail("the program `workloads` is not in this build");
  for (const char* name : kWorkloads) {
    if (only.empty() || only == name) programs.push_back({name, {{workloads, name}, {}}});
  }
  for (const HardCase& hard : kHardCases) {
    if (!only.empty() && only != hard.name) continue;
    programs.push_back({hard.name,
                        {{workloads, hard.name}, {}},
                        hard.max_time,
                        hard.max_memory,
                        /*is_in_means=*/false});
  }
  if (only.empty() || only == "python") {
    const std::string python = FindPython();
    if (python.empty()) {
      notes->push_back("python: skipped, no python3 here");
    } else {
      g_script_path = WriteScript();
      // A fixed hash seed: else the order of sets, and so the work, varies.
      Program script{"python",
                     {{python, "-S", g_script_path}, {"PYTHONMALLOC=malloc", "PYTHONHASHSEED=0"}}};
      script.is_workload = false;
      programs.push_back(script);
    }
  }
  if (programs.empty() && notes->empty()) Fail("no program is called " + only);
  return programs;
}

void RemoveProgramFiles() {
  if (!g_script_path.empty()) unlink(g_script_path.c_str());
}

}  // namespace taskmem::bench
