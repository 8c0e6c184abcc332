// A child frees, resizes and reads what threads of its parent allocated, living
// and ended ones; the parent's blocks stay as they were. Three generations.
#include <atomic>
#include <thread>

#include "tests/programs/support/wait_for.h"

namespace {

constexpr int kBlocks = 400;

struct Set {
  void* blocks[kBlocks];
};

constexpr size_t SizeOf(int i) {
  return i % 40 == 0 ? 400000u : 10u + 37u * static_cast<unsigned>(i);
}

void Fill(Set& set) {
  for (int i = 0; i < kBlocks; ++i) {
    set.blocks[i] = malloc(SizeOf(i));
    FillPattern(set.blocks[i], SizeOf(i), static_cast<unsigned>(i));
  }
}

void Verify(const Set& set) {
  for (int i = 0; i < kBlocks; ++i) {
    REQUIRE(HasPattern(set.blocks[i], SizeOf(i), static_cast<unsigned>(i)));
  }
}

void FreeAll(Set& set) {
  for (int i = 0; i < kBlocks; ++i) {
    if (i % 7 == 0) {
      set.blocks[i] = realloc(set.blocks[i], SizeOf(i) + 5000);
      REQUIRE(HasPattern(set.blocks[i], SizeOf(i), static_cast<unsigned>(i)));
    }
    free(set.blocks[i]);
  }
}

}  // namespace

int main() {
  Set own, of_ended, of_living;
  std::atomic<int> step{0};
  Fill(own);
  std::thread([&] { Fill(of_ended); }).join();
  std::thread living([&] {
    Fill(of_living);
    step.store(1);
    while (step.load() != 2) std::this_thread::yield();
  });
  while (step.load() != 1) std::this_thread::yield();

  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    LimitChild();
    const pid_t grandchild = fork();
    REQUIRE(grandchild >= 0);
    Verify(of_living);
    FreeAll(of_living);
    Verify(own);
    FreeAll(own);
    Verify(of_ended);
    FreeAll(of_ended);
    if (grandchild != 0) RequireChildSucceeds(grandchild);
    _exit(0);
  }
  RequireChildSucceeds(child);
  step.store(2);
  living.join();
  for (Set* set : {&own, &of_ended, &of_living}) {
    Verify(*set);
    FreeAll(*set);
  }
}
