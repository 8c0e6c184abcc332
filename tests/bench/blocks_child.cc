// blocks_child get | evict: what cached blocks cost in this process, a line each: NAME and
// nanoseconds for `get`, NAME and seconds for 1 GiB for `evict`.
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "shim/taskmem.h"

namespace taskmem::bench {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kTask = (uint64_t{1} << 40) + 1;

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "blocks_child: %s failed\n", what);
  exit(1);
}

// Bytes that no disk and no file system can shorten.
int Fill(void* context, void* to, uint64_t bytes) {
  uint64_t state = reinterpret_cast<uintptr_t>(context) * 2 + 1;
  for (uint64_t at = 0; at + 8 <= bytes; at += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    memcpy(static_cast<char*>(to) + at, &state, 8);
  }
  return 0;
}

// There is room, and nothing is wanted of it.
int Decline(void*, void*, uint64_t) { return ECANCELED; }

int Put(const std::string& name, uint64_t bytes, uint32_t level,
        int (*supply)(void*, void*, uint64_t), uint64_t seed) {
  taskmem_block_options options = {};
  options.size = sizeof(options);
  options.level = level;
  options.bytes = bytes;
  options.supply = supply;
  options.context = reinterpret_cast<void*>(seed);
  return taskmem_block_put(name.c_str(), &options);
}

void PrintGet(const char* name, const std::vector<std::string>& names) {
  constexpr int kGets = 200000;
  std::array<double, 9> gets;
  std::array<double, 9> releases;
  std::vector<taskmem_block> blocks(100);
  for (size_t round = 0; round < gets.size(); ++round) {
    double get = 0;
    double release = 0;
    size_t next = round;
    for (int done = 0; done < kGets; done += static_cast<int>(blocks.size())) {
      const double start = Now();
      for (taskmem_block& block : blocks) {
        next = (next + 7919) % names.size();
        Require(taskmem_block_get(names[next].c_str(), &block) == 0, "taskmem_block_get");
      }
      const double pinned = Now();
      for (taskmem_block& block : blocks) taskmem_block_release(&block);
      get += pinned - start;
      release += Now() - pinned;
    }
    gets[round] = get / kGets;
    releases[round] = release / kGets;
  }
  std::sort(gets.begin(), gets.end());
  std::sort(releases.begin(), releases.end());
  std::printf("get-%s %.1f\nrelease-%s %.1f\n", name, gets[4], name, releases[4]);
}

void Get() {
  std::vector<std::string> names;
  for (int i = 0; i < 10000; ++i) {
    names.push_back("rdd_1_" + std::to_string(i));
    Require(Put(names.back(), 1000, TASKMEM_MEMORY_ONLY, Fill, static_cast<uint64_t>(i)) == 0,
            "taskmem_block_put");
  }
  const std::vector<std::string> few(names.begin(), names.begin() + 100);
  PrintGet("few", few);
  PrintGet("many", names);
  Require(taskmem_task_begin(kTask, nullptr) == 0, "taskmem_task_begin");
  Require(taskmem_thread_attach(kTask, nullptr) == 0, "taskmem_thread_attach");
  PrintGet("few-in-task", few);
}

void Evict() {
  constexpr uint64_t kBlocks = 1024;
  for (uint64_t i = 0; i < kBlocks; ++i) {
    Require(Put("rdd_1_" + std::to_string(i), kMiB, TASKMEM_MEMORY_AND_DISK, Fill, i + 1) == 0,
            "taskmem_block_put");
  }
  const double start = Now();
  // Nearly all of --memory: nearly everything else has to go.
  Require(Put("all", 1080 * kMiB, TASKMEM_MEMORY_ONLY, Decline, 0) == ECANCELED, "the eviction");
  const double seconds = (Now() - start) / 1e9;
  uint64_t there = 0;
  for (uint64_t i = 0; i < kBlocks; ++i) {
    taskmem_block_status status = {};
    if (taskmem_block_info(("rdd_1_" + std::to_string(i)).c_str(), &status) == 0 &&
        status.disk_bytes == kMiB && status.in_memory == 0) {
      ++there;
    }
  }
  Require(there > 1000, "looking for the blocks on disk");
  std::printf("evict %.4f\n", seconds * kBlocks / static_cast<double>(there));
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "get") == 0) {
    taskmem::bench::Get();
  } else if (argc == 2 && strcmp(argv[1], "evict") == 0) {
    taskmem::bench::Evict();
  } else {
    std::fprintf(stderr, "usage: blocks_child get | evict\n");
    return 2;
  }
  return 0;
}
