// The hash aggregation of hash_aggregation.c with the C++ wrapper: each partition is a
// consumer of its own, and taskmem chooses which one is spilled. Same input, same output.
//
//   hash_aggregation_cpp ROWS GROUPS
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "shim/taskmem.hpp"

namespace {

constexpr size_t kPartitions = 64;
constexpr size_t kFirstSlots = 256;

struct Group {
  uint64_t key = 0;  // 0: none
  uint64_t rows = 0;
  uint64_t sum = 0;
};

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

uint64_t Hash(uint64_t key) {
  key = (key ^ (key >> 31)) * 0x7fb5d329728ea185;
  key = (key ^ (key >> 27)) * 0x81dadef4bc2dd44d;
  return key ^ (key >> 33);
}

class Partition {
 public:
  void Add(const Group& added) {
    if (used_ * 4 >= slots_.size() * 3) Grow();
    Group& group = Find(slots_, added.key);
    if (group.key == 0) ++used_;
    group.key = added.key;
    group.rows += added.rows;
    group.sum += added.sum;
  }

  // Puts together what was spilled and what is left, calls visit(group), and is empty.
  template <typename Visit>
  void Drain(Visit visit) {
    if (FILE* const file = std::exchange(file_, nullptr)) {
      std::rewind(file);
      Group group;
      while (std::fread(&group, sizeof(group), 1, file) == 1) Add(group);
      std::fclose(file);
    }
    consumer_.Unregister();
    for (const Group& group : slots_) {
      if (group.key != 0) visit(group);
    }
    slots_ = std::vector<Group>();
    used_ = 0;
  }

 private:
  static Group& Find(std::vector<Group>& slots, uint64_t key) {
    size_t at = Hash(key) / kPartitions & (slots.size() - 1);
    while (slots[at].key != 0 && slots[at].key != key) at = (at + 1) & (slots.size() - 1);
    return slots[at];
  }

  void Grow() {
    const taskmem::ConsumerScope scope(consumer_);
    is_growing_ = true;
    // To the compiler an allocation touches nothing of ours.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::vector<Group> slots(slots_.empty() ? kFirstSlots : slots_.size() * 2);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    is_growing_ = false;
    for (const Group& group : slots_) {
      if (group.key != 0) Find(slots, group.key) = group;
    }
    slots_ = std::move(slots);
    Report();
  }

  // It cannot spill itself while it grows: it is asked last and says 0.
  uint64_t Spill() {
    if (is_growing_ || slots_.empty()) return 0;
    if (file_ == nullptr) file_ = std::tmpfile();
    if (file_ == nullptr) return 0;
    for (const Group& group : slots_) {
      if (group.key != 0 && std::fwrite(&group, sizeof(group), 1, file_) != 1) Fail("spilling");
    }
    const uint64_t freed = slots_.size() * sizeof(Group);
    slots_ = std::vector<Group>();
    used_ = 0;
    Report();
    return freed;
  }

  void Report() { consumer_.Report(slots_.size() * sizeof(Group)); }

  std::vector<Group> slots_;  // open addressing; a power of two, or empty
  size_t used_ = 0;
  bool is_growing_ = false;
  FILE* file_ = nullptr;  // groups that were spilled; the same key may be there several times
  taskmem::SpillConsumer consumer_{[this](uint64_t, taskmem_consumer) { return Spill(); }};
};

}  // namespace

int main(int argc, char** argv) {
  const uint64_t rows = argc == 3 ? std::strtoull(argv[1], nullptr, 10) : 1000000;
  const uint64_t groups = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 100000;
  const auto table = std::make_unique<std::array<Partition, kPartitions>>();
  for (uint64_t i = 0; i < rows; ++i) {
    const uint64_t key = Hash(i % groups + 1) | 1;
    (*table)[Hash(key) % kPartitions].Add({key, 1, i});
  }
  uint64_t found = 0, counted = 0, sum = 0, digest = 0;
  for (Partition& partition : *table) {
    partition.Drain([&](const Group& group) {
      ++found;
      counted += group.rows;
      sum += group.sum;
      digest += Hash(group.key ^ Hash(group.rows ^ Hash(group.sum)));
    });
  }
  std::printf("%llu groups of %llu rows, sum %llu, digest %016llx\n",
              static_cast<unsigned long long>(found), static_cast<unsigned long long>(counted),
              static_cast<unsigned long long>(sum), static_cast<unsigned long long>(digest));
}
