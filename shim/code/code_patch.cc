#include "shim/code/code_patch.h"

#include <sys/mman.h>

#include <cstring>

#include "accounting/base/round_up.h"
#include "shim/base/os.h"
#include "shim/base/own_ranges.h"

namespace taskmem {
namespace {

// jmp *0(%rip), and the address.
constexpr unsigned char kJump[] = {0xff, 0x25, 0, 0, 0, 0};
static_assert(sizeof(kJump) + sizeof(void*) == kFarJumpBytes);

// A run of pages with entries. They lie close together: one run, most often.
struct Run {
  uintptr_t start;
  uintptr_t end;
};

size_t FindRuns(const CodePatch* patches, size_t patch_count, size_t bytes,
                Run (&runs)[kMostPatches]) {
  constexpr uintptr_t kPageBytes = 4096;
  constexpr uintptr_t kGapBytes = 16 * kPageBytes;
  size_t count = 0;
  for (size_t n = 0; n < patch_count; ++n) {
    const auto code = reinterpret_cast<uintptr_t>(patches[n].code);
    Run run = {code & ~(kPageBytes - 1), RoundUp(code + bytes, kPageBytes)};
    // What it touches joins it.
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
      if (runs[i].start <= run.end + kGapBytes && run.start <= runs[i].end + kGapBytes) {
        if (runs[i].start < run.start) run.start = runs[i].start;
        if (runs[i].end > run.end) run.end = runs[i].end;
      } else {
        runs[kept++] = runs[i];
      }
    }
    runs[kept] = run;
    count = kept + 1;
  }
  return count;
}

bool Protect(const Run& run, int protection) {
  return !os::Failed(os::Call(SYS_mprotect, static_cast<long>(run.start),
                              static_cast<long>(run.end - run.start), protection));
}

// Has write(i) change the code of each patch, `bytes` of it.
template <typename Write>
bool WriteJumps(const CodePatch* patches, size_t count, size_t bytes, CodeUse use, Write write) {
  if (count > kMostPatches) return false;
  Run runs[kMostPatches];
  const size_t run_count = FindRuns(patches, count, bytes, runs);
  const int open = PROT_READ | PROT_WRITE | (use == CodeUse::kRunning ? PROT_EXEC : 0);
  size_t opened = 0;
  while (opened < run_count && Protect(runs[opened], open)) ++opened;
  const bool is_open = opened == run_count;
  for (size_t i = 0; is_open && i < count; ++i) write(i);
  // The first that could not be opened may have been changed in part.
  for (size_t i = 0; i < run_count && i <= opened; ++i) Protect(runs[i], PROT_READ | PROT_EXEC);
  return is_open;
}

void WriteFarJump(unsigned char* code, const void* target) {
  memcpy(code, kJump, sizeof(kJump));
  memcpy(code + sizeof(kJump), &target, sizeof(target));
}

// An island is a page of far jumps that code jumps to.
constexpr size_t kIslandBytes = 4096;
constexpr size_t kSlotBytes = 16;
static_assert(kMostPatches * kSlotBytes <= kIslandBytes);
constexpr uintptr_t kReach = (uintptr_t{1} << 31) - (uintptr_t{1} << 24);

unsigned char* SlotOf(uintptr_t island, size_t i) {
  return reinterpret_cast<unsigned char*>(island + i * kSlotBytes);
}

// Whether a jump of 32 bits leads to the island from all of [start, end).
bool IsInReach(uintptr_t island, uintptr_t start, uintptr_t end) {
  const uintptr_t low = island < start ? island : start;
  const uintptr_t high = island + kIslandBytes > end ? island + kIslandBytes : end;
  return high - low <= kReach;
}

// Those that were made, the newest of many: a library that comes again needs none of its own.
constexpr size_t kMostIslands = 64;
uintptr_t g_islands[kMostIslands] = {};
size_t g_island_count = 0;

// One with the same jumps. 0: there is none in reach.
uintptr_t FindIsland(const CodePatch* patches, size_t count, uintptr_t start, uintptr_t end) {
  for (const uintptr_t island : g_islands) {
    if (island == 0 || !IsInReach(island, start, end)) continue;
    size_t same = 0;
    for (unsigned char jump[kFarJumpBytes]; same < count; ++same) {
      WriteFarJump(jump, patches[same].target);
      if (memcmp(jump, SlotOf(island, same), sizeof(jump)) != 0) break;
    }
    if (same == count) return island;
  }
  return 0;
}

// A page for one, writable. 0: there is none free.
uintptr_t MapIsland(uintptr_t start, uintptr_t end) {
  constexpr uintptr_t kStep = uintptr_t{1} << 20;
  const auto try_at = [&](uintptr_t at) {
    if (at < kStep || !IsInReach(at, start, end)) return false;
    const long got = os::Call(SYS_mmap, static_cast<long>(at), kIslandBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (os::Failed(got)) return false;
    if (static_cast<uintptr_t>(got) == at) return true;
    os::Unmap(reinterpret_cast<void*>(got), kIslandBytes);  // a kernel before 4.17
    return false;
  };
  const uintptr_t below = (start & ~(kStep - 1)) - kStep;
  const uintptr_t above = RoundUp(end, kStep);
  for (uintptr_t i = 0; i < kReach / kStep; ++i) {
    if (try_at(above + i * kStep)) return above + i * kStep;
    if (below > i * kStep && try_at(below - i * kStep)) return below - i * kStep;
  }
  return 0;
}

// The same with the jumps in it. 0: it cannot be had.
uintptr_t MakeIsland(const CodePatch* patches, size_t count, uintptr_t start, uintptr_t end) {
  const uintptr_t island = MapIsland(start, end);
  if (island == 0) return 0;
  for (size_t i = 0; i < count; ++i) WriteFarJump(SlotOf(island, i), patches[i].target);
  if (Protect({island, island + kIslandBytes}, PROT_READ | PROT_EXEC)) return island;
  os::Unmap(reinterpret_cast<void*>(island), kIslandBytes);
  return 0;
}

}  // namespace

bool WriteFarJumps(const CodePatch* patches, size_t count, CodeUse use) {
  return WriteJumps(patches, count, kFarJumpBytes, use,
                    [&](size_t i) { WriteFarJump(patches[i].code, patches[i].target); });
}

bool WriteNearJumps(const CodePatch* patches, size_t count, CodeUse use, uintptr_t start,
                    uintptr_t end) {
  if (count > kMostPatches) return false;
  const uintptr_t known = FindIsland(patches, count, start, end);
  const uintptr_t island = known != 0 ? known : MakeIsland(patches, count, start, end);
  if (island == 0) return false;
  const bool is_written = WriteJumps(patches, count, kNearJumpBytes, use, [&](size_t i) {
    unsigned char* const code = patches[i].code;
    const auto distance = static_cast<int32_t>(SlotOf(island, i) - (code + kNearJumpBytes));
    code[0] = 0xe9;
    memcpy(code + 1, &distance, sizeof(distance));
  });
  if (known != 0) return is_written;
  if (is_written) {
    NoteOwnRange(reinterpret_cast<void*>(island), kIslandBytes);
    g_islands[g_island_count++ % kMostIslands] = island;
  } else {
    os::Unmap(reinterpret_cast<void*>(island), kIslandBytes);
  }
  return is_written;
}

}  // namespace taskmem
