#include "shim/adopt/adoption.h"

#include <link.h>
#include <stdlib.h>
#include <string.h>

#include <cstdint>

#include "accounting/base/errno_keeper.h"
#include "shim/adopt/allocator_symbols.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/books/stats_segment.h"
#include "shim/code/code_patch.h"
#include "shim/code/mapped_file.h"
#include "shim/options/log.h"

namespace taskmem {
namespace {

using adopt::EntryPoints;

constexpr int kNotAdoptedStatus = 1;

Adopt g_adopt = Adopt::kOff;
char g_required[sizeof(Options::adopt_names)] = "";

// Libraries that were there at the last look: under the loader's lock, which whoever calls
// NoteLoaderEvent holds.
struct Seen {
  const link_map* map;
  const void* dynamic;
};
constexpr size_t kMostSeen = 2048;
constinit Seen g_seen[kMostSeen] = {};
size_t g_seen_count = 0;
// The last that was loaded at the program's start: those before it in the loader's list were, too.
const link_map* g_last_at_start = nullptr;

const char* BaseName(const char* path) {
  const char* const slash = strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

// Whether `require=NAME,...` names this library; without names it means all.
bool IsRequired(const char* base) {
  if (g_adopt != Adopt::kRequire) return false;
  if (g_required[0] == '\0') return true;
  for (const char* at = g_required; *at != '\0';) {
    const size_t length = strcspn(at, ",");
    if (length != 0 && memmem(base, strlen(base), at, length) != nullptr) return true;
    at += length;
    if (*at == ',') ++at;
  }
  return false;
}

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

// Why it was not adopted, or nullptr.
const char* Patch(const MappedFile& file, const EntryPoints& found, uintptr_t moved_by) {
  if (found.why_not != nullptr) return found.why_not;
  uint64_t start;
  uint64_t end;
  if (!adopt::ImageRange(file, &start, &end)) return "its file is damaged";
  for (size_t i = 0; i < found.count; ++i) {
    if (found.entries[i].address < start || found.entries[i].address >= end) {
      return "its file is damaged";
    }
  }
  if (!IsAsInFile(file, found, moved_by)) return "its code is not what its file has";
  CodePatch patches[EntryPoints::kMost];
  for (size_t i = 0; i < found.count; ++i) {
    const EntryPoints::Entry& entry = found.entries[i];
    patches[i] = {reinterpret_cast<unsigned char*>(moved_by + entry.address), entry.target};
  }
  return WriteNearJumps(patches, found.count, CodeUse::kUntouched, moved_by + start, moved_by + end)
             ? nullptr
             : "its code cannot be written to";
}

// What cannot be adopted may be told by a variable to use malloc.
void UseMallocByVariable(const char* base) {
  constexpr char kArrow[] = "libarrow.so";
  if (strncmp(base, kArrow, sizeof(kArrow) - 1) != 0) return;
  setenv("ARROW_DEFAULT_MEMORY_POOL", "system", 0);
  LogLine(Log(), LogLevel::kInfo, "%s: ARROW_DEFAULT_MEMORY_POOL=%s", base,
          getenv("ARROW_DEFAULT_MEMORY_POOL"));
}

void LookAt(const char* path, uintptr_t moved_by) {
  const char* const base = BaseName(path);
  // Less than an allocator and its engine have.
  constexpr size_t kLeastBytes = 256 * 1024;
  const MappedFile file(path, kLeastBytes);
  constexpr size_t kMostAllocators = 4;
  EntryPoints found[kMostAllocators];
  const size_t count = adopt::FindAllocators(file, found, kMostAllocators);
  bool is_whole = true;
  for (size_t i = 0; i < count; ++i) {
    const EntryPoints& allocator = found[i];
    const char* const why_not = Patch(file, allocator, moved_by);
    if (why_not == nullptr) {
      LogLine(Log(), LogLevel::kInfo, "adopted %s of %s (%s*), %zu functions", allocator.allocator,
              base, allocator.prefix, allocator.count);
      continue;
    }
    is_whole = false;
    LogLine(Log(), LogLevel::kWarn, "%s of %s (%s*) keeps its own memory: %s", allocator.allocator,
            base, allocator.prefix, why_not);
    if (!IsRequired(base)) continue;
    Message("--adopt require: %s of %s cannot be adopted: %s", allocator.allocator, base, why_not);
    os::Call(SYS_exit_group, kNotAdoptedStatus);
  }
  if (count == 0 || !is_whole) UseMallocByVariable(base);
  if (count == 0 && g_required[0] != '\0' && IsRequired(base)) {
    Message("--adopt require: %s has no allocator that is known", base);
    os::Call(SYS_exit_group, kNotAdoptedStatus);
  }
}

bool WasSeen(const link_map* map, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (g_seen[i].map == map && g_seen[i].dynamic == map->l_ld) return true;
  }
  return false;
}

// Called by the loader instead of the empty function that debuggers put a breakpoint at: before
// and after libraries come and go. What is in its list is mapped.
void NoteLoaderEvent() {
  if (os::IsSealed()) return;
  const ErrnoKeeper keeper;
  // What was loaded already may have been used.
  for (const link_map* map = _r_debug.r_map; g_last_at_start != nullptr; map = map->l_next) {
    if (g_seen_count < kMostSeen) g_seen[g_seen_count++] = {map, map->l_ld};
    if (map == g_last_at_start) g_last_at_start = nullptr;
  }
  size_t count = 0;
  // What has gone is forgotten: another library may come to its place.
  for (size_t i = 0; i < g_seen_count; ++i) {
    for (const link_map* map = _r_debug.r_map; map != nullptr; map = map->l_next) {
      if (map == g_seen[i].map && map->l_ld == g_seen[i].dynamic) {
        g_seen[count++] = g_seen[i];
        break;
      }
    }
  }
  g_seen_count = count;
  for (const link_map* map = _r_debug.r_map; map != nullptr; map = map->l_next) {
    if (WasSeen(map, g_seen_count) || g_seen_count == kMostSeen) continue;
    g_seen[g_seen_count++] = {map, map->l_ld};
    if (map->l_name != nullptr && map->l_name[0] == '/') LookAt(map->l_name, map->l_addr);
  }
}

// What compilers put between functions, instructions that do nothing, up to `end`.
bool IsPadding(const unsigned char* code, const unsigned char* end) {
  while (code < end) {
    if (*code == 0x90 || *code == 0xcc) {
      ++code;
      continue;
    }
    while (code < end && (*code == 0x66 || *code == 0x2e)) ++code;
    if (end - code < 3 || code[0] != 0x0f || code[1] != 0x1f) return false;
    const unsigned char mode = code[2];
    if ((mode & 0x38) != 0) return false;
    code += 3 + ((mode & 7) == 4 ? 1 : 0) + (mode >> 6 == 1 ? 1 : mode >> 6 == 2 ? 4 : 0);
  }
  return code == end;
}

bool WatchLoader() {
  auto* const code = reinterpret_cast<unsigned char*>(_r_debug.r_brk);
  constexpr uintptr_t kFunctionAlignment = 16;
  if (code == nullptr || reinterpret_cast<uintptr_t>(code) % kFunctionAlignment != 0) return false;
  constexpr unsigned char kBranchTarget[] = {0xf3, 0x0f, 0x1e, 0xfa};
  constexpr unsigned char kReturn = 0xc3;
  const unsigned char* at = code;
  if (memcmp(at, kBranchTarget, sizeof(kBranchTarget)) == 0) at += sizeof(kBranchTarget);
  if (*at++ != kReturn || !IsPadding(at, code + kFunctionAlignment)) return false;
  static_assert(kFarJumpBytes <= kFunctionAlignment);
  const CodePatch patch = {code, reinterpret_cast<const void*>(NoteLoaderEvent)};
  return WriteFarJumps(&patch, 1, CodeUse::kRunning);
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
  LogLine(Log(), LogLevel::kInfo, "%s: PYTHONMALLOC=malloc (python -E and -I do not look at it)",
          program);
}

}  // namespace

void OpenAdoption(const Options& options) {
  g_adopt = options.adopt;
  if (g_adopt == Adopt::kOff || os::IsSealed()) return;
  memcpy(g_required, options.adopt_names, sizeof(g_required));
  UseMallocInPython(options);
  for (const link_map* map = _r_debug.r_map; map != nullptr; map = map->l_next) {
    g_last_at_start = map;
  }
  if (WatchLoader()) return;
  LogLine(Log(), LogLevel::kWarn, "the loader cannot be watched: no allocator is adopted");
  if (g_adopt != Adopt::kRequire) return;
  Message("--adopt require: the loader cannot be watched");
  os::Call(SYS_exit_group, kNotAdoptedStatus);
}

}  // namespace taskmem
