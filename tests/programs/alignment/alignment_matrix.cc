// Every power of two up to 4 MiB against sizes around every size class, by every call that
// aligns. What malloc_usable_size says can be written, realloc keeps the content, and half of the
// blocks are freed by another thread. "tasks": by several tasks in turn, whose blocks share
// pages; "overflow": of tasks at their quota.
//
//   alignment_matrix [plain | tasks | overflow [least alignment [most]]]
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>

#include <new>

#include "tests/programs/support/tasks.h"

namespace {

constexpr int kTasks = 3;
constexpr size_t kWindow = 96;  // of live blocks
constexpr size_t kWrittenWhole = 64 << 10;

enum Call {
  kMemalign,
  kAlignedAlloc,
  kPosixMemalign,
  kValloc,
  kPvalloc,
  kNew,
  kNewArray,
  kNothrow,
  kCalls
};

struct Block {
  void* start;
  size_t size;
  size_t usable;
  size_t alignment;
  Call call;
  unsigned seed;
};

bool with_tasks = false;
Block window[kWindow];
uint64_t made = 0;

// The other thread: frees what it is given, one at a time.
sem_t given;
sem_t taken;
Block to_free;

void Free(const Block& block) {
  const auto alignment = static_cast<std::align_val_t>(block.alignment);
  switch (block.call) {
    case kNew: return operator delete(block.start, alignment);
    case kNewArray: return operator delete[](block.start, alignment);
    case kNothrow: return operator delete(block.start, alignment, std::nothrow);
    default: free(block.start);
  }
}

void* FreeWhatIsGiven(void*) {
  for (;;) {
    sem_wait(&given);
    if (to_free.start == nullptr) return nullptr;
    Free(to_free);
    sem_post(&taken);
  }
}

void* Allocate(Call call, size_t alignment, size_t size) {
  const auto value = static_cast<std::align_val_t>(alignment);
  switch (call) {
    case kMemalign: return memalign(alignment, size);
    case kAlignedAlloc: return aligned_alloc(alignment, size);
    case kPosixMemalign: {
      void* block = nullptr;
      REQUIRE(posix_memalign(&block, alignment, size) == 0);
      return block;
    }
    case kValloc: return valloc(size);
    case kPvalloc: return pvalloc(size);
    case kNew: return operator new(size, value);
    case kNewArray: return operator new[](size, value);
    default: return operator new(size, value, std::nothrow);
  }
}

// Of a small block every byte, of a large one its two ends.
void Fill(const Block& block) {
  if (block.usable <= kWrittenWhole) {
    FillPattern(block.start, block.usable, block.seed);
  } else {
    FillPattern(block.start, 4096, block.seed);
    FillPattern(static_cast<char*>(block.start) + block.usable - 4096, 4096, block.seed + 1);
  }
}

void Check(const Block& block, size_t bytes) {
  if (block.usable <= kWrittenWhole) {
    REQUIRE(HasPattern(block.start, bytes < block.usable ? bytes : block.usable, block.seed));
  } else {
    REQUIRE(HasPattern(block.start, bytes < 4096 ? bytes : 4096, block.seed));
    const char* const end = static_cast<char*>(block.start) + block.usable - 4096;
    REQUIRE(bytes < block.usable || HasPattern(end, 4096, block.seed + 1));
  }
}

void Drop(Block* block) {
  if (block->start == nullptr) return;
  Check(*block, SIZE_MAX);
  if (made % 3 == 0) {
    const size_t bytes = block->size / 3 * (made % 5) + 1;
    void* const moved = realloc(block->start, bytes);
    REQUIRE(moved != nullptr);
    block->start = moved;
    Check(*block, bytes < block->size ? bytes : block->size);
    free(moved);
  } else if (made % 2 == 0) {
    to_free = *block;
    sem_post(&given);
    sem_wait(&taken);
  } else {
    Free(*block);
  }
  block->start = nullptr;
}

void Try(Call call, size_t alignment, size_t size) {
  if (with_tasks) Attach(kTask + made % kTasks);
  const size_t promised = call == kValloc || call == kPvalloc ? 4096 : alignment;
  Block block = {Allocate(call, alignment, size), size, 0, alignment, call,
                 static_cast<unsigned>(made)};
  REQUIRE(block.start != nullptr);
  if (!IsAligned(block.start, promised)) {
    dprintf(STDERR_FILENO, "call %d: %zu bytes aligned to %zu are at %p\n", call, size, promised,
            block.start);
    _exit(1);
  }
  block.usable = malloc_usable_size(block.start);
  REQUIRE_COMPARE(block.usable, >=, call == kPvalloc ? (size + 4095) / 4096 * 4096 : size);
  if (with_tasks) {
    REQUIRE_COMPARE(OwnerOf(block.start), ==, kTask + made % kTasks);
    REQUIRE_COMPARE(OwnerOf(static_cast<char*>(block.start) + block.usable - 1), ==,
                    kTask + made % kTasks);
  }
  Fill(block);
  Block& place = window[made++ % kWindow];
  Drop(&place);
  place = block;
}

void TryAround(size_t alignment, size_t edge) {
  for (size_t size : {edge - 1, edge, edge + 1}) {
    // Small ones by every call, large ones by a call each.
    const int calls = size + alignment <= 8192 ? kCalls : 1;
    for (int i = 0; i < calls; ++i) {
      const int call = calls == 1 ? static_cast<int>(made % kCalls) : i;
      Try(static_cast<Call>(call), alignment, size);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const char* const mode = argc > 1 ? argv[1] : "plain";
  const size_t least = argc > 2 ? strtoull(argv[2], nullptr, 10) : 8;
  const size_t most = argc > 3 ? strtoull(argv[3], nullptr, 10) : size_t{4} << 20;
  const bool with_overflow = strcmp(mode, "overflow") == 0;
  with_tasks = with_overflow || strcmp(mode, "tasks") == 0;
  for (int i = 0; with_tasks && i < kTasks; ++i) {
    Begin(kTask + i, with_overflow ? 32 * kMiB : TASKMEM_NO_QUOTA);
  }
  sem_init(&given, 0, 0);
  sem_init(&taken, 0, 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, FreeWhatIsGiven, nullptr) == 0);
  void* ballast[kTasks] = {};
  for (int i = 0; with_overflow && i < kTasks; ++i) {
    Attach(kTask + i);
    ballast[i] = malloc(28 * kMiB);
    REQUIRE(ballast[i] != nullptr);
  }
  for (size_t alignment = least; alignment <= most; alignment *= 2) {
    for (size_t edge = 2; edge <= 64; ++edge) TryAround(alignment, edge);
    for (size_t power = 64; power <= (128 << 10); power *= 2) {
      for (size_t quarters = 4; quarters < 8; ++quarters)
        TryAround(alignment, power / 4 * quarters);
    }
    for (size_t edge = 256 << 10; edge <= size_t{16} << 20; edge *= 4) TryAround(alignment, edge);
    TryAround(alignment, (size_t{16} << 20) + (64 << 10));
  }
  for (Block& block : window) Drop(&block);
  for (void* block : ballast) free(block);
  to_free = {};
  sem_post(&given);
  pthread_join(thread, nullptr);
  if (with_tasks) {
    Detach();
    malloc_trim(0);
    RequireBooksMatchPages();
    for (int i = 0; i < kTasks; ++i) REQUIRE_COMPARE(Charged(kTask + i), <=, kMiB);
  }
  return 0;
}
