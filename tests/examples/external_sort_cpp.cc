// The external sort of external_sort.c with the C++ wrapper: same input, same output.
//
//   external_sort_cpp KEYS
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <queue>
#include <vector>

#include "shim/taskmem.hpp"

namespace {

constexpr size_t kChunkKeys = 32 * 1024;
constexpr size_t kMergeKeys = 1024;

using Chunk = std::unique_ptr<std::vector<uint64_t>>;

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

class Sorter {
 public:
  explicit Sorter(size_t keys) : file_(std::tmpfile()) {
    if (file_ == nullptr) Fail("a temporary file");
    // The hook must not find the vector amid its own growth.
    full_.reserve(keys / kChunkKeys + 1);
  }
  ~Sorter() { std::fclose(file_); }

  void Add(uint64_t key) {
    if (filling_ == nullptr || filling_->size() == kChunkKeys) NextChunk();
    filling_->push_back(key);
  }

  // Calls visit(key) in ascending order.
  template <typename Visit>
  void Merge(Visit visit) {
    consumer_.Unregister();
    if (runs_ > 0) Spill(UINT64_MAX);
    std::fflush(file_);
    if (filling_ != nullptr) full_.push_back(std::move(filling_));
    std::vector<Run> runs(runs_ + full_.size());
    for (size_t i = 0; i < runs_; ++i) {
      runs[i].offset = static_cast<off_t>(i * kChunkKeys * sizeof(uint64_t));
      runs[i].left = kChunkKeys;
    }
    for (size_t i = 0; i < full_.size(); ++i) {
      std::sort(full_[i]->begin(), full_[i]->end());
      runs[runs_ + i].keys = std::move(*full_[i]);
    }
    const auto is_after = [](const Run* a, const Run* b) { return a->next() > b->next(); };
    std::priority_queue<Run*, std::vector<Run*>, decltype(is_after)> heap(is_after);
    for (Run& run : runs) {
      if (run.Fill(file_)) heap.push(&run);
    }
    while (!heap.empty()) {
      Run* const run = heap.top();
      heap.pop();
      visit(run->next());
      ++run->at;
      if (run->Fill(file_)) heap.push(run);
    }
  }

 private:
  // A sorted run: the rest of a chunk in memory, or a part of the file.
  struct Run {
    std::vector<uint64_t> keys;
    size_t at = 0;
    off_t offset = 0;  // of what has not been read
    size_t left = 0;   // keys there

    uint64_t next() const { return keys[at]; }
    // False: the run is at its end.
    bool Fill(FILE* file) {
      if (at < keys.size()) return true;
      keys.resize(std::min(left, kMergeKeys));
      at = 0;
      const size_t bytes = keys.size() * sizeof(uint64_t);
      if (pread(fileno(file), keys.data(), bytes, offset) != static_cast<ssize_t>(bytes)) {
        Fail("reading a run");
      }
      offset += static_cast<off_t>(bytes);
      left -= keys.size();
      return !keys.empty();
    }
  };

  void NextChunk() {
    if (filling_ != nullptr) full_.push_back(std::move(filling_));
    Report();
    const taskmem::ConsumerScope scope(consumer_);
    // The hook may run in here; to the compiler an allocation touches nothing of ours.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    auto chunk = std::make_unique<std::vector<uint64_t>>();
    chunk->reserve(kChunkKeys);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    filling_ = std::move(chunk);
  }

  uint64_t Spill(uint64_t bytes_needed) {
    uint64_t freed = 0;
    while (freed < bytes_needed && !full_.empty()) {
      std::vector<uint64_t>& keys = *full_.back();
      std::sort(keys.begin(), keys.end());
      if (std::fwrite(keys.data(), sizeof(uint64_t), keys.size(), file_) != keys.size()) break;
      ++runs_;
      full_.pop_back();
      freed += kChunkKeys * sizeof(uint64_t);
    }
    Report();
    return freed;
  }

  void Report() { consumer_.Report(full_.size() * kChunkKeys * sizeof(uint64_t)); }

  FILE* const file_;
  std::vector<Chunk> full_;
  Chunk filling_;
  size_t runs_ = 0;  // in the file
  taskmem::SpillConsumer consumer_{
      [this](uint64_t bytes, taskmem_consumer) { return Spill(bytes); }};
};

}  // namespace

int main(int argc, char** argv) {
  const size_t keys = argc == 2 ? std::strtoul(argv[1], nullptr, 10) : 1000000;
  Sorter sorter(keys);
  uint64_t random = 88172645463325252;
  for (size_t i = 0; i < keys; ++i) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    sorter.Add(random);
  }
  uint64_t digest = 0xcbf29ce484222325;
  uint64_t median = 0;
  size_t at = 0;
  sorter.Merge([&](uint64_t key) {
    if (at++ == keys / 2) median = key;
    digest = (digest ^ key) * 0x100000001b3;
  });
  std::printf("%zu keys, median %016llx, digest %016llx\n", keys,
              static_cast<unsigned long long>(median), static_cast<unsigned long long>(digest));
}
