#include "shim/adopt/loader_watch.h"

#include <cstdint>
#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "shim/base/os.h"
#include "shim/code/code_patch.h"

namespace taskmem::adopt {
namespace {

void (*g_loaded)(const link_map&) = nullptr;

// Libraries that were there at the last look: under the loader's lock, which whoever calls
// NoteLoaderEvent holds.
struct Seen {
  const link_map* map;
  const void* dynamic;
};
constexpr size_t kMostSeen = 2048;
constinit Seen g_seen[kMostSeen] = {};
size_t g_seen_count = 0;

bool IsThere(const Seen& seen) {
  bool is_there = false;
  ForEachLoaded([&](const link_map& map) {
    if (&map == seen.map && map.l_ld == seen.dynamic) is_there = true;
  });
  return is_there;
}

bool WasSeen(const link_map& map) {
  for (size_t i = 0; i < g_seen_count; ++i) {
    if (g_seen[i].map == &map && g_seen[i].dynamic == map.l_ld) return true;
  }
  return false;
}

void NoteSeen(const link_map& map) { g_seen[g_seen_count++] = {&map, map.l_ld}; }

// Called by the loader instead of the empty function that debuggers put a breakpoint at: before
// and after libraries come and go. What is in its lists is mapped.
void NoteLoaderEvent() {
  if (os::IsSealed()) return;
  const ErrnoKeeper keeper;
  // What has gone is forgotten: another library may come to its place.
  size_t count = 0;
  for (size_t i = 0; i < g_seen_count; ++i) {
    if (IsThere(g_seen[i])) g_seen[count++] = g_seen[i];
  }
  g_seen_count = count;
  ForEachLoaded([](const link_map& map) {
    if (g_seen_count == kMostSeen || WasSeen(map)) return;
    NoteSeen(map);
    g_loaded(map);
  });
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

}  // namespace

bool WatchLoader(void (*loaded)(const link_map&)) {
  auto* const code = reinterpret_cast<unsigned char*>(_r_debug.r_brk);
  constexpr uintptr_t kFunctionAlignment = 16;
  if (code == nullptr || reinterpret_cast<uintptr_t>(code) % kFunctionAlignment != 0) return false;
  constexpr unsigned char kBranchTarget[] = {0xf3, 0x0f, 0x1e, 0xfa};
  constexpr unsigned char kReturn = 0xc3;
  const unsigned char* at = code;
  if (memcmp(at, kBranchTarget, sizeof(kBranchTarget)) == 0) at += sizeof(kBranchTarget);
  if (*at++ != kReturn || !IsPadding(at, code + kFunctionAlignment)) return false;
  static_assert(kFarJumpBytes <= kFunctionAlignment);
  g_loaded = loaded;
  ForEachLoaded([](const link_map& map) {
    if (g_seen_count < kMostSeen) NoteSeen(map);
  });
  const CodePatch patch = {code, reinterpret_cast<const void*>(NoteLoaderEvent)};
  return WriteFarJumps(&patch, 1, CodeUse::kRunning);
}

}  // namespace taskmem::adopt
