#include "shim/adopt/loader_watch.h"

#include <atomic>
#include <cstdint>
#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "shim/base/os.h"
#include "shim/code/code_patch.h"

namespace taskmem::adopt {
namespace {

void (*g_loaded)(const link_map&) = nullptr;

// A library that was there at the last look.
struct Seen {
  const link_map* map;
  const void* dynamic;
  bool is_new;  // at that look

  bool Is(const link_map& other) const { return map == &other && dynamic == other.l_ld; }
};

// In the loader's order. What comes beyond these is not looked at.
constexpr size_t kMostSeen = 8192;
struct SeenList {
  size_t count;
  Seen seen[kMostSeen];
};

// Those now, beside those before: under the loader's lock, which whoever calls NoteLoaderEvent
// holds. A child that is forked meanwhile finds the one or the other whole.
constinit SeenList g_lists[2] = {};
constinit std::atomic<SeenList*> g_now{&g_lists[0]};

// What has gone is forgotten: another library may come to its place.
const SeenList& LookAgain() {
  const SeenList& before = *g_now.load(std::memory_order_relaxed);
  SeenList& now = &before == &g_lists[0] ? g_lists[1] : g_lists[0];
  now.count = 0;
  size_t next = 0;
  ForEachLoaded([&](const link_map& map) {
    if (now.count == kMostSeen) return;
    // Most often it is the next: the loader keeps their order. What comes is compared to all.
    size_t i = 0;
    while (i < before.count && !before.seen[(next + i) % before.count].Is(map)) ++i;
    const bool is_new = i == before.count;
    if (!is_new) next = (next + i) % before.count + 1;
    now.seen[now.count++] = {&map, map.l_ld, is_new};
  });
  g_now.store(&now, std::memory_order_release);
  return now;
}

// Called by the loader instead of the empty function that debuggers put a breakpoint at: before
// and after libraries come and go. What is in its lists is mapped.
void NoteLoaderEvent() {
  if (os::IsSealed()) return;
  const ErrnoKeeper keeper;
  const SeenList& now = LookAgain();
  for (size_t i = 0; i < now.count; ++i) {
    if (now.seen[i].is_new) g_loaded(*now.seen[i].map);
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
  LookAgain();
  const CodePatch patch = {code, reinterpret_cast<const void*>(NoteLoaderEvent)};
  return WriteFarJumps(&patch, 1, CodeUse::kRunning);
}

}  // namespace taskmem::adopt
