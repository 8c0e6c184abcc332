// Blocks of more than 128 KiB that grow and shrink hold what was written into them, wherever they
// go, and the books say what they hold.
//
//   realloc_large random SEED      blocks of every kind grow and shrink at random; other threads
//                                  free them; a child of fork has them all
//   realloc_large overflow SEED    the same by a task whose quota is a fraction of them
//   realloc_large quota            at a quota growth needs the difference, and no more
//   realloc_large hooks            a spill hook makes room for a growth
//   realloc_large appends          appending moves a block rarely, at every size
//   realloc_large reused           buffers that grow use memory again without page faults
//   realloc_large returned         what shrinks is given back: to the task, and to the system
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/programs/support/tasks.h"

namespace {

constexpr size_t kPage = 4096;

// A block with a number of its own in each page, and in its last word.
struct Marked {
  char* start;
  size_t size;
  uint64_t seed;

  uint64_t* WordAt(size_t offset) const { return reinterpret_cast<uint64_t*>(start + offset); }
  void Mark(size_t from) const {
    for (size_t at = (from + kPage - 1) / kPage * kPage; at + 8 <= size; at += kPage) {
      *WordAt(at) = seed + at;
    }
    memcpy(start + size - 8, &seed, 8);
  }
  void Check(size_t bytes) const {
    // The last mark of a smaller size may have gone over the first of a page.
    for (size_t at = 0; at + 8 <= bytes && at + 8 <= size; at += kPage) {
      if (at + 16 > size) break;
      REQUIRE(*WordAt(at) == seed + at);
    }
    REQUIRE(bytes < size || memcmp(start + size - 8, &seed, 8) == 0);
  }
};

constexpr int kBlocks = 6;
Marked blocks[kBlocks];

void* FreeIt(void* block) {
  free(block);
  return nullptr;
}

void FreeByAnother(void* block) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, FreeIt, block) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
}

// From 160 KiB to 96 MiB, most of them small.
size_t RandomSize(uint64_t* random) {
  return (160 << 10) + NextRandom(random) % (96 * kMiB >> NextRandom(random) % 8);
}

void Allocate(Marked* block, uint64_t* random) {
  block->size = RandomSize(random);
  block->seed = NextRandom(random);
  switch (NextRandom(random) % 3) {
    case 0: {
      block->start = static_cast<char*>(calloc(1, block->size));
      REQUIRE(block->start != nullptr);
      for (size_t at = 0; at + 8 <= block->size; at += 512) REQUIRE(*block->WordAt(at) == 0);
      break;
    }
    case 1: {
      // Up to 64 MiB.
      const size_t alignment = size_t{32} << NextRandom(random) % 22;
      block->start = static_cast<char*>(memalign(alignment, block->size));
      REQUIRE(block->start != nullptr && IsAligned(block->start, alignment));
      break;
    }
    default:
      block->start = static_cast<char*>(malloc(block->size));
      REQUIRE(block->start != nullptr);
  }
  block->Mark(0);
}

void Resize(Marked* block, uint64_t* random) {
  size_t size = RandomSize(random);
  // Often by little.
  if (NextRandom(random) % 2 == 0) size = block->size + NextRandom(random) % (block->size / 4);
  auto* const start = static_cast<char*>(realloc(block->start, size));
  REQUIRE(start != nullptr);
  Marked resized = {start, size, block->seed};
  if (size > block->size) {
    Marked{start, block->size, block->seed}.Check(block->size);
  } else {
    resized.Check(size - 1);
  }
  resized.Mark(0);
  *block = resized;
}

uint64_t UsableBytes() {
  uint64_t bytes = 0;
  for (const Marked& block : blocks) {
    if (block.start == nullptr) continue;
    const size_t usable = malloc_usable_size(block.start);
    REQUIRE_COMPARE(usable, >=, block.size);
    // All of it is there, and the task's.
    block.start[usable - 1] = 1;
    memcpy(block.start + block.size - 8, &block.seed, 8);
    REQUIRE_COMPARE(OwnerOf(block.start + usable - 1), ==, kTask);
    REQUIRE_COMPARE(OwnerOf(block.start + block.size / 2), ==, kTask);
    bytes += usable;
  }
  return bytes;
}

void CheckInChild() {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    uint64_t random = 99;
    for (Marked& block : blocks) {
      if (block.start == nullptr) continue;
      block.Check(block.size);
      Resize(&block, &random);
      free(block.start);
    }
    RequireBooksMatchPages();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE_COMPARE(status, ==, 0);
}

void Random(uint64_t seed, uint64_t quota, bool is_charged) {
  printf("seed %llu\n", static_cast<unsigned long long>(seed));
  uint64_t random = seed * 2654435761u + 1;
  Begin(kTask, quota);
  Attach(kTask);
  for (int step = 0; step < 150; ++step) {
    Marked* const block = &blocks[NextRandom(&random) % kBlocks];
    if (block->start == nullptr) {
      Allocate(block, &random);
    } else if (NextRandom(&random) % 8 != 0) {
      block->Check(block->size);
      Resize(block, &random);
    } else {
      block->Check(block->size);
      step % 2 == 0 ? free(block->start) : FreeByAnother(block->start);
      block->start = nullptr;
    }
    if (step % 10 != 0) continue;
    const uint64_t bytes = UsableBytes();
    RequireBooksMatchPages();
    if (is_charged) {
      REQUIRE_COMPARE(Charged(kTask), >=, bytes);
      // What is beyond them: alignments, and pages of small blocks.
      REQUIRE_COMPARE(Charged(kTask), <=, bytes + kBlocks * 64 * kMiB);
    }
  }
  CheckInChild();
  for (Marked& block : blocks) {
    if (block.start == nullptr) continue;
    block.Check(block.size);
    free(block.start);
  }
  malloc_trim(0);
  RequireBooksMatchPages();
  REQUIRE_COMPARE(Charged(kTask), <=, kMiB);
}

void Quota() {
  constexpr uint64_t kQuota = 130 * kMiB;
  Begin(kTask, kQuota);
  Attach(kTask);
  Marked block = {static_cast<char*>(malloc(64 * kMiB)), 64 * kMiB, 7};
  REQUIRE(block.start != nullptr);
  block.Mark(0);
  // Twice as much, of which the quota has the difference and not more.
  block.start = static_cast<char*>(realloc(block.start, 128 * kMiB));
  REQUIRE(block.start != nullptr);
  block.Check(block.size - 1);
  REQUIRE_COMPARE(Charged(kTask), >=, 128 * kMiB);
  block.size = 128 * kMiB;
  block.Mark(0);
  // Refused: it stays what it is.
  errno = 0;
  REQUIRE(realloc(block.start, 140 * kMiB) == nullptr);
  REQUIRE(errno == ENOMEM);
  block.Check(block.size);
  REQUIRE_COMPARE(Charged(kTask), <=, kQuota);
  RequireBooksMatchPages();
  // By little and little, to the last.
  uint64_t refused_at = 0;
  for (uint64_t size = 128 * kMiB; refused_at == 0; size += 64 << 10) {
    void* const grown = realloc(block.start, size);
    if (grown == nullptr) {
      refused_at = size;
    } else {
      block.start = static_cast<char*>(grown);
    }
  }
  REQUIRE_COMPARE(refused_at, >, kQuota - kMiB);
  REQUIRE_COMPARE(Usage(kTask).overdraft_bytes, ==, 0);
  REQUIRE_COMPARE(Usage(kTask).peak_charged_bytes, <=, kQuota);
  free(block.start);
  RequireBooksMatchPages();

  // Another task's block becomes the one's that makes it larger.
  Begin(kTask + 1);
  Attach(kTask + 1);
  void* theirs = malloc(40 * kMiB);
  Attach(kTask);
  void* mine = realloc(theirs, 60 * kMiB);
  REQUIRE(mine != nullptr);
  REQUIRE_COMPARE(OwnerOf(mine), ==, kTask);
  REQUIRE_COMPARE(Charged(kTask + 1), <=, kMiB);
  REQUIRE_COMPARE(Charged(kTask), >=, 60 * kMiB);
  // Which its quota must allow: the whole block.
  Attach(kTask + 1);
  theirs = malloc(100 * kMiB);
  Attach(kTask);
  REQUIRE(realloc(theirs, 110 * kMiB) == nullptr);
  REQUIRE_COMPARE(OwnerOf(theirs), ==, kTask + 1);
  free(theirs);
  // An ended task's block, too.
  Attach(kTask + 1);
  theirs = malloc(40 * kMiB);
  Attach(kTask);
  End(kTask + 1);
  theirs = realloc(theirs, 50 * kMiB);
  REQUIRE(theirs != nullptr && OwnerOf(theirs) == kTask);
  free(theirs);
  free(mine);
  RequireBooksMatchPages();
}

void* cache = nullptr;

uint64_t FreeCache(void* asked_for, uint64_t bytes_needed, taskmem_consumer) {
  *static_cast<uint64_t*>(asked_for) = bytes_needed;
  free(cache);
  cache = nullptr;
  return 40 * kMiB;
}

void Hooks() {
  Begin(kTask, 100 * kMiB);
  Attach(kTask);
  uint64_t asked_for = 0;
  taskmem_consumer_options options = {};
  options.size = sizeof(options);
  options.name = "cache";
  options.spill = FreeCache;
  options.context = &asked_for;
  taskmem_consumer consumer;
  REQUIRE_COMPARE(taskmem_consumer_register(TASKMEM_CURRENT_TASK, &options, &consumer), ==, 0);
  cache = malloc(40 * kMiB);
  REQUIRE(cache != nullptr);
  taskmem_consumer_report(consumer, 40 * kMiB);
  void* block = malloc(50 * kMiB);
  Touch(block, 50 * kMiB);
  block = realloc(block, 80 * kMiB);
  REQUIRE(block != nullptr);
  // For the difference.
  REQUIRE_COMPARE(asked_for, >, 15 * kMiB);
  REQUIRE_COMPARE(asked_for, <=, 32 * kMiB);
  REQUIRE(static_cast<char*>(block)[50 * kMiB - 4096] == 1);
  REQUIRE_COMPARE(Usage(kTask).refusals, ==, 0);
  REQUIRE_COMPARE(Usage(kTask).overdraft_bytes, ==, 0);
  free(block);
  REQUIRE(taskmem_consumer_unregister(consumer) == 0);
  RequireBooksMatchPages();
}

void Appends() {
  constexpr size_t kFrom = 128 << 10;
  constexpr size_t kTo = 256 * kMiB;
  void* block = malloc(kFrom);
  uint64_t moves = 0;
  for (size_t size = kFrom; size < kTo; size += kPage) {
    void* const grown = realloc(block, size);
    REQUIRE(grown != nullptr);
    moves += grown != block;
    block = grown;
    static_cast<char*>(block)[size - 1] = 1;
  }
  // A move for each eighth that is added.
  REQUIRE_COMPARE(moves, <=, 90);
  free(block);
}

uint64_t PageFaults() {
  struct rusage usage;
  REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
  return static_cast<uint64_t>(usage.ru_minflt);
}

// Grown by doubling and written to as far as it goes.
void* GrownTo(size_t size) {
  void* block = nullptr;
  for (size_t filled = 64 << 10; filled < 2 * size; filled *= 2) {
    const size_t bytes = filled < size ? filled : size;
    block = realloc(block, bytes);
    REQUIRE(block != nullptr);
    Touch(block, bytes);
  }
  return block;
}

// Memory that decays meanwhile is faulted in anew, about once a second.
void Reused() {
  constexpr int kLive = 8;
  constexpr int kRounds = 400;
  void* live[kLive] = {};
  const auto run = [&live](int rounds) {
    uint64_t pages = 0;
    for (int i = 0; i < rounds; ++i) {
      void*& block = live[i * 5 % kLive];
      free(block);
      const size_t size = (300 << 10) + (i * 37 % 16) * (100 << 10);
      block = GrownTo(size);
      pages += size / kPage;
    }
    return pages;
  };
  run(kRounds);
  const uint64_t before = PageFaults();
  const uint64_t pages = run(kRounds);
  REQUIRE_COMPARE(PageFaults() - before, <, pages / 10);
  for (void* block : live) free(block);
  RequireBooksMatchPages();
}

// Of 96 MiB, all of it touched.
void Returned() {
  Begin(kTask);
  Attach(kTask);
  // What is written down by the library itself is resident before.
  free(malloc(20 * kMiB));
  const uint64_t before = ResidentBytes();
  auto* block = static_cast<char*>(calloc(96, kMiB));
  REQUIRE(block != nullptr);
  Touch(block, 96 * kMiB);
  for (const size_t mib : {90, 48, 20, 8, 2}) {
    char* const shrunk = static_cast<char*>(realloc(block, mib * kMiB));
    REQUIRE(shrunk == block);
    REQUIRE_COMPARE(malloc_usable_size(block), <, mib * kMiB + (64 << 10));
    REQUIRE_COMPARE(Charged(kTask), <, (mib + 1) * kMiB);
    REQUIRE_COMPARE(ResidentBytes(), <, before + (mib + 3) * kMiB);
  }
  block = static_cast<char*>(realloc(block, 1000));
  REQUIRE(block != nullptr && block[0] == 1);
  REQUIRE_COMPARE(Charged(kTask), <, kMiB);
  free(block);
  // What comes after it is zeroed.
  block = static_cast<char*>(calloc(33, kMiB));
  for (size_t at = 0; at < 33 * kMiB; at += 512) REQUIRE(block[at] == 0);
  // Blocks whose pages differ are copied.
  REQUIRE(madvise(block + kMiB - reinterpret_cast<uintptr_t>(block) % kPage, 4 * kMiB,
                  MADV_NOHUGEPAGE) == 0);
  REQUIRE(mprotect(block + 8 * kMiB - reinterpret_cast<uintptr_t>(block) % kPage, kMiB,
                   PROT_READ) == 0);
  block[0] = block[32 * kMiB] = 1;
  block = static_cast<char*>(realloc(block, 70 * kMiB));
  REQUIRE(block != nullptr && block[0] == 1 && block[32 * kMiB] == 1);
  Touch(block, 70 * kMiB);
  free(block);
  RequireBooksMatchPages();
}

}  // namespace

int main(int argc, char** argv) {
  const char* const mode = argc > 1 ? argv[1] : "";
  const uint64_t seed = argc > 2 ? strtoull(argv[2], nullptr, 10) : 1;
  if (strcmp(mode, "random") == 0) {
    Random(seed, TASKMEM_NO_QUOTA, true);
  } else if (strcmp(mode, "overflow") == 0) {
    Random(seed, 48 * kMiB, false);
  } else if (strcmp(mode, "quota") == 0) {
    Quota();
  } else if (strcmp(mode, "hooks") == 0) {
    Hooks();
  } else if (strcmp(mode, "appends") == 0) {
    Appends();
  } else if (strcmp(mode, "reused") == 0) {
    Reused();
  } else if (strcmp(mode, "returned") == 0) {
    Returned();
  } else {
    REQUIRE(!"a mode");
  }
  return 0;
}
