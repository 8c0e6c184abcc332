// Spill hooks for the tiny programs: a cache of blocks that a hook empties.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_HOOKS_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_HOOKS_H_

#include <pthread.h>

#include <atomic>

#include "tests/programs/support/tasks.h"

// Blocks of one size, of the task that works for it. Locked by trylock, as hooks must that
// run inside allocations; allocates nothing itself.
class BlockCache {
 public:
  explicit BlockCache(size_t block_bytes) : block_bytes_(block_bytes) {}

  // Keeps `block`, or frees it where there is no place.
  void Keep(void* block) {
    pthread_mutex_lock(&mutex_);
    const bool has_place = count_ < kMost;
    if (has_place) blocks_[count_++] = block;
    Report();
    pthread_mutex_unlock(&mutex_);
    if (!has_place) free(block);
  }

  // Frees blocks of `bytes` in all, or what there is. Returns how much that was.
  uint64_t Free(uint64_t bytes) {
    if (pthread_mutex_trylock(&mutex_) != 0) return 0;
    uint64_t freed = 0;
    while (freed < bytes && count_ > 0) {
      free(blocks_[--count_]);
      freed += block_bytes_;
    }
    Report();
    pthread_mutex_unlock(&mutex_);
    return freed;
  }

  void Register(uint64_t task, const char* name, int run_on, taskmem_spill_fn spill = Spill) {
    taskmem_consumer_options options = {};
    options.size = sizeof(options);
    options.name = name;
    options.spill = spill;
    options.context = this;
    options.run_on = run_on;
    taskmem_consumer registered = 0;
    REQUIRE_COMPARE(taskmem_consumer_register(task, &options, &registered), ==, 0);
    consumer = registered;
  }

  static uint64_t Spill(void* context, uint64_t bytes, taskmem_consumer) {
    auto* cache = static_cast<BlockCache*>(context);
    cache->calls.fetch_add(1);
    return cache->Free(bytes);
  }

  uint64_t bytes() const { return count_ * block_bytes_; }

  std::atomic<taskmem_consumer> consumer{0};
  std::atomic<int> calls{0};

 private:
  static constexpr size_t kMost = 100'000;

  void Report() {
    if (consumer != 0) (void)taskmem_consumer_report(consumer, count_ * block_bytes_);
  }

  const size_t block_bytes_;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  size_t count_ = 0;
  void* blocks_[kMost];
};

// Takes `blocks` blocks into the cache. All must be served.
inline void Fill(BlockCache& cache, size_t block_bytes, int blocks) {
  for (int i = 0; i < blocks; ++i) {
    void* block = malloc(block_bytes);
    REQUIRE(block != nullptr);
    Touch(block, block_bytes);
    cache.Keep(block);
  }
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_HOOKS_H_
