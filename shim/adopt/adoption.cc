#include "shim/adopt/adoption.h"

#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cstdint>

#include "accounting/base/base_name.h"
#include "accounting/base/format_text.h"
#include "accounting/base/round_up.h"
#include "shim/adopt/adopted_bytes.h"
#include "shim/adopt/allocator_symbols.h"
#include "shim/adopt/allocators.h"
#include "shim/adopt/at_start.h"
#include "shim/adopt/jemalloc_calls.h"
#include "shim/adopt/loader_watch.h"
#include "shim/adopt/required.h"
#include "shim/base/maps_file.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/code/code_patch.h"
#include "shim/code/mapped_file.h"
#include "shim/options/log.h"
#include "shim/published/program_name.h"

namespace taskmem {
namespace {

using adopt::EntryPoints;

Adopt g_adopt = Adopt::kOff;

// Libraries whose blocks are counted, by adopter: one that comes again is counted as before.
constexpr size_t kKeyBytes = 96;
char g_adopters[adopt::kMostAdopters][kKeyBytes] = {};

// The code in memory is the file's: it is neither another file's, nor changed by somebody else.
bool IsAsInFile(const MappedFile& file, const EntryPoints& found, uintptr_t moved_by) {
  for (size_t i = 0; i < found.count; ++i) {
    const EntryPoints::Entry& entry = found.entries[i];
    const auto* const bytes = file.At<unsigned char>(entry.file_offset, kNearJumpBytes);
    if (bytes == nullptr ||
        memcmp(bytes, reinterpret_cast<void*>(moved_by + entry.address), kNearJumpBytes) != 0) {
      return false;
    }
  }
  return true;
}

// The heads of the functions lie in one mapping of code, where the file says: whatever the file's
// segments are, the loader's calls decided. Else some of it might not be there, or be data.
bool LiesInMappedCode(const EntryPoints& found, uintptr_t moved_by) {
  constexpr uint64_t kPage = 4096;
  uint64_t low = UINT64_MAX;
  uint64_t high = 0;
  for (size_t i = 0; i < found.count; ++i) {
    const uint64_t code = moved_by + found.entries[i].address;
    if (code / kPage * kPage < low) low = code / kPage * kPage;
    if (RoundUp(code + kNearJumpBytes, kPage) > high) high = RoundUp(code + kNearJumpBytes, kPage);
  }
  bool lies = false;
  ForEachMapsLine([&](const MapsLine& line) {
    if (line.end <= low) return true;
    lies = line.start <= low && line.end >= high && line.protection == (PROT_READ | PROT_EXEC);
    for (size_t i = 0; i < found.count; ++i) {
      const EntryPoints::Entry& entry = found.entries[i];
      if (line.offset + (moved_by + entry.address - line.start) != entry.file_offset) lies = false;
    }
    return false;
  });
  return lies;
}

// Why it was not adopted, or nullptr. `targets`: by function.
const char* Patch(const MappedFile& file, const EntryPoints& found, uintptr_t moved_by,
                  const void* const* targets) {
  if (found.why_not != nullptr) return found.why_not;
  uint64_t start;
  uint64_t end;
  if (!adopt::ImageRange(file, &start, &end)) return "its file is damaged";
  for (size_t i = 0; i < found.count; ++i) {
    if (found.entries[i].address < start || found.entries[i].address >= end) {
      return "its file is damaged";
    }
  }
  if (!LiesInMappedCode(found, moved_by)) return "its code is not where its file says";
  if (!IsAsInFile(file, found, moved_by)) return "its code is not what its file has";
  CodePatch patches[EntryPoints::kMost];
  for (size_t i = 0; i < found.count; ++i) {
    const EntryPoints::Entry& entry = found.entries[i];
    patches[i] = {reinterpret_cast<unsigned char*>(moved_by + entry.address),
                  targets[entry.function]};
  }
  return WriteNearJumps(patches, found.count, CodeUse::kUntouched, moved_by + start, moved_by + end)
             ? nullptr
             : "its code cannot be written to";
}

bool IsArrow(const char* base) {
  constexpr char kArrow[] = "libarrow.so";
  return strncmp(base, kArrow, sizeof(kArrow) - 1) == 0;
}

// What cannot be adopted may be told by a variable to use malloc.
void UseMallocByVariable(const char* base) {
  if (!IsArrow(base)) return;
  setenv("ARROW_DEFAULT_MEMORY_POOL", "system", 0);
  LogLine(Log(), LogLevel::kInfo, "%s: ARROW_DEFAULT_MEMORY_POOL=%s", base,
          getenv("ARROW_DEFAULT_MEMORY_POOL"));
}

uint32_t AdopterOf(const char* base, const char* prefix) {
  char key[kKeyBytes];
  FormatText(key, sizeof(key), "%s %s", prefix, base);
  uint32_t i = 0;
  while (i < adopt::kMostAdopters && g_adopters[i][0] != '\0' && strcmp(g_adopters[i], key) != 0) {
    ++i;
  }
  if (i < adopt::kMostAdopters) memcpy(g_adopters[i], key, sizeof(key));
  return i;
}

// By mimalloc's own variable.
bool IsToldNoHugePages() {
  const char* const told = getenv("MIMALLOC_ALLOW_THP");
  if (told == nullptr) return false;
  for (const char* const no : {"0", "off", "no", "false"}) {
    if (strcasecmp(told, no) == 0) return true;
  }
  return false;
}

// What came of one allocator.
struct Outcome {
  bool is_jemalloc;
  uint32_t adopter;
  char library[sizeof(AllocatorRow::library)];
  char functions[EntryPoints::kPrefixBytes + 1];  // "duckdb_je_*"
  size_t function_count;
  const char* why_not;  // nullptr: it is adopted
};

// Adopts it, or not.
Outcome AdoptOne(const MappedFile& file, const EntryPoints& found, const char* base,
                 uintptr_t moved_by) {
  Outcome outcome = {};
  outcome.is_jemalloc = found.is_jemalloc;
  outcome.adopter = AdopterOf(base, found.prefix);
  FormatText(outcome.library, sizeof(outcome.library), "%s", base);
  FormatText(outcome.functions, sizeof(outcome.functions),
             found.prefix[0] != '\0' ? "%s*" : "without a prefix", found.prefix);
  outcome.function_count = found.count;
  if (found.asks_for_huge_pages && !IsToldNoHugePages()) adopt::GiveArrowHugePages();
  outcome.why_not = Patch(file, found, moved_by,
                          found.is_jemalloc ? adopt::JemallocTargets(outcome.adopter)
                                            : adopt::ArrowMimallocTargets(outcome.adopter));
  return outcome;
}

// Says so in the books and the log; ends the program where it is required.
void Report(const Outcome& outcome) {
  const char* const allocator = outcome.is_jemalloc ? "jemalloc" : "mimalloc";
  if (outcome.why_not == nullptr) {
    char how[48];
    FormatText(how, sizeof(how), "%zu functions jump to taskmem's", outcome.function_count);
    const uint32_t row = ListAllocator({allocator, outcome.library, outcome.functions, how},
                                       AdoptionState::kAdopted);
    if (outcome.adopter < adopt::kMostAdopters) adopt::SetAdoptersRow(outcome.adopter, row);
    LogLine(Log(), LogLevel::kInfo, "adopted %s of %s (%s), %zu functions", allocator,
            outcome.library, outcome.functions, outcome.function_count);
    return;
  }
  ListAllocator({allocator, outcome.library, outcome.functions, outcome.why_not},
                AdoptionState::kKept);
  LogLine(Log(), LogLevel::kWarn, "%s of %s (%s) keeps its own memory: %s", allocator,
          outcome.library, outcome.functions, outcome.why_not);
  EndIfRequired(allocator, outcome.library, outcome.why_not);
}

// What was adopted, or not, before there were books. Those beyond are adopted and not listed.
constexpr size_t kMostAtStart = 16;
Outcome g_at_start[kMostAtStart];
size_t g_at_start_count = 0;

// All that the library brought at the start, and something.
bool HasAdopted(const char* base) {
  bool has = false;
  for (size_t i = 0; i < g_at_start_count; ++i) {
    if (strcmp(g_at_start[i].library, base) != 0) continue;
    if (g_at_start[i].why_not != nullptr) return false;
    has = true;
  }
  return has;
}

constexpr size_t kMostAllocators = 4;

void LookAt(const link_map& library) {
  const char* const path = library.l_name;
  // The kernel's own has a name without a folder.
  if (path == nullptr || strchr(path, '/') == nullptr) return;
  const char* const base = BaseName(path);
  const MappedFile file(path, adopt::kLeastBytes);
  EntryPoints found[kMostAllocators];
  const size_t count = adopt::FindAllocators(file, IsArrow(base), found, kMostAllocators);
  bool is_whole = true;
  for (size_t i = 0; i < count; ++i) {
    const Outcome outcome = AdoptOne(file, found[i], base, library.l_addr);
    if (outcome.why_not != nullptr) is_whole = false;
    Report(outcome);
  }
  if (count == 0 || !is_whole) UseMallocByVariable(base);
  if (count == 0) EndIfNamed(base);
}

// Tells CPython to use malloc where tasks are threads: its arenas serve all of them.
void UseMallocInPython(const Options& options) {
  if (options.task_by == TaskBy::kProcess) return;
  const char* const program = BaseName(StatsProgram());
  constexpr char kPython[] = "python";
  if (strncmp(program, kPython, sizeof(kPython) - 1) != 0 || getenv("PYTHONMALLOC") != nullptr) {
    return;
  }
  setenv("PYTHONMALLOC", "malloc", 1);
  ListAllocator({"pymalloc", program, "", "PYTHONMALLOC=malloc was set, as tasks are threads"},
                AdoptionState::kAdopted);
  LogLine(Log(), LogLevel::kInfo, "%s: PYTHONMALLOC=malloc (python -E and -I do not look at it)",
          program);
}

}  // namespace

namespace adopt {

void LookAtStart(const link_map& library, const char* path) {
  const MappedFile file(path, kLeastBytes);
  EntryPoints found[kMostAllocators];
  const size_t count = FindAllocators(file, IsArrow(BaseName(path)), found, kMostAllocators);
  if (count == 0) return;
  char program[256];
  const char* base = BaseName(path);
  if (library.l_name == nullptr || library.l_name[0] == '\0') {
    os::ReadLink(path, program, sizeof(program));
    base = BaseName(program);
  }
  for (size_t i = 0; i < count; ++i) {
    const Outcome outcome = AdoptOne(file, found[i], base, library.l_addr);
    if (g_at_start_count < kMostAtStart) g_at_start[g_at_start_count++] = outcome;
  }
}

}  // namespace adopt

void OpenAdoption(const Options& options) {
  g_adopt = options.adopt;
  const bool is_off = g_adopt == Adopt::kOff || os::IsSealed();
  if (!is_off) UseMallocInPython(options);
  NotePythonMalloc();
  NoteOwnerOfKept(options.task_by == TaskBy::kProcess);
  if (is_off) return;
  OpenRequired(options);
  adopt::EnsureLookAtStart();
  for (size_t i = 0; i < g_at_start_count; ++i) Report(g_at_start[i]);
  adopt::ForEachLoaded([](const link_map& library) {
    const char* const base = library.l_name != nullptr ? BaseName(library.l_name) : "";
    if (!HasAdopted(base)) UseMallocByVariable(base);
  });
  if (adopt::WatchLoader(LookAt)) return;
  LogLine(Log(), LogLevel::kWarn, "the loader cannot be watched: no allocator is adopted");
  EndIfAnyIsRequired("the loader cannot be watched");
}

}  // namespace taskmem
