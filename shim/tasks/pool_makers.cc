#include "shim/tasks/pool_makers.h"

#include <dlfcn.h>

#include <cstring>

#include "accounting/base/base_name.h"
#include "shim/adopt/allocators.h"
#include "shim/books/own_memory.h"
#include "shim/heap/heap.h"
#include "shim/sites/unwinder.h"

namespace taskmem {
namespace {

struct KnownMaker {
  const char* name;  // how the file's name begins; with a slash: what its path contains
  ThreadMaker maker;
};

constexpr KnownMaker kKnownMakers[] = {
    // Threads are made through these, not by them.
    {"libc.so", ThreadMaker::kPassing},
    {"libpthread", ThreadMaker::kPassing},
    {"libstdc++", ThreadMaker::kPassing},
    {"libc++", ThreadMaker::kPassing},
    {"libgcc_s", ThreadMaker::kPassing},
    {"ld-linux", ThreadMaker::kPassing},
    {"libtaskmem", ThreadMaker::kPassing},
    // A team of threads belongs to the thread that made it.
    {"libgomp", ThreadMaker::kTeam},
    {"libarrow", ThreadMaker::kPool},
    {"_duckdb", ThreadMaker::kPool},
    {"duckdb.", ThreadMaker::kPool},
    {"libduckdb", ThreadMaker::kPool},
    {"_polars_runtime", ThreadMaker::kPool},
    {"polars.", ThreadMaker::kPool},
    {"/datafusion/", ThreadMaker::kPool},
    {"_chdb", ThreadMaker::kPool},
    {"libvelox", ThreadMaker::kPool},
    {"libtbb", ThreadMaker::kPool},
    {"libomp", ThreadMaker::kPool},
    {"libiomp", ThreadMaker::kPool},
    {"libopenblas", ThreadMaker::kPool},
    {"libscipy_openblas", ThreadMaker::kPool},
};

// Where the code lies, and what that library makes of threads.
ThreadMaker MakerAt(const void* address, const link_map** library) {
  dl_find_object object;
  *library = nullptr;
  if (_dl_find_object(const_cast<void*>(address), &object) != 0) return ThreadMaker::kProgram;
  *library = object.dlfo_link_map;
  return MakerByName(object.dlfo_link_map->l_name);
}

// Calls use(frames, count) with the calling thread's stack; not at all where there is no memory.
template <uint32_t kMostFrames, typename Use>
void WithOwnStack(Use use) {
  struct Scratch {
    UnwindScratch unwind;
    uint64_t frames[kMostFrames];
  };
  auto* const scratch = static_cast<Scratch*>(OwnAllocate(sizeof(Scratch)));
  if (scratch == nullptr) return;
  uint64_t stack_top = 0;
  uint64_t known_bytes = 0;
  OwnStackEnd(&stack_top, &known_bytes);
  PrepareToUnwind(stack_top, known_bytes, &scratch->unwind);
  uint32_t flags = 0;
  const uint32_t count =
      Unwind(HereOnStack(), &scratch->unwind, scratch->frames, kMostFrames, &flags);
  use(scratch->frames, count);
  OwnFree(scratch, sizeof(Scratch));
}

}  // namespace

ThreadMaker MakerByName(const char* path) {
  if (path == nullptr || path[0] == '\0') return ThreadMaker::kProgram;
  const char* const base = BaseName(path);
  for (const KnownMaker& known : kKnownMakers) {
    const bool is_known = known.name[0] == '/' ? strstr(path, known.name) != nullptr
                                               : strncmp(base, known.name, strlen(known.name)) == 0;
    if (is_known) return known.maker;
  }
  // An engine that nobody named here, by its allocator.
  return BringsAllocator(base) ? ThreadMaker::kPool : ThreadMaker::kProgram;
}

ThreadMaker FindThreadMaker(const void* caller, const link_map** library) {
  const ThreadMaker first = MakerAt(caller, library);
  if (first != ThreadMaker::kPassing) return first;
  constexpr uint32_t kMostFrames = 8;
  ThreadMaker maker = ThreadMaker::kProgram;
  WithOwnStack<kMostFrames>([&](const uint64_t* frames, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      maker = MakerAt(reinterpret_cast<const void*>(frames[i]), library);
      if (maker != ThreadMaker::kPassing) break;
    }
  });
  return maker == ThreadMaker::kPassing ? ThreadMaker::kProgram : maker;
}

ThreadMaker FindMakerOfUnseen() {
  constexpr uint32_t kMostFrames = 128;
  ThreadMaker maker = ThreadMaker::kProgram;
  WithOwnStack<kMostFrames>([&](const uint64_t* frames, uint32_t count) {
    const auto maker_at = [&](uint32_t i) {
      const link_map* library = nullptr;
      return MakerAt(reinterpret_cast<const void*>(frames[i]), &library);
    };
    // It begins in libc: else these are not all frames.
    if (count == 0 || count == kMostFrames || maker_at(count - 1) != ThreadMaker::kPassing) return;
    for (uint32_t i = count - 1; i > 0; --i) {
      maker = maker_at(i - 1);
      if (maker != ThreadMaker::kPassing) break;
    }
  });
  // Whose team it is in is not known.
  if (maker == ThreadMaker::kTeam) return ThreadMaker::kPool;
  return maker == ThreadMaker::kPassing ? ThreadMaker::kProgram : maker;
}

}  // namespace taskmem
