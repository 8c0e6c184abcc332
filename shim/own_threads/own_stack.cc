#include "shim/own_threads/own_stack.h"

#include "shim/base/os.h"
#include "shim/base/own_ranges.h"

namespace taskmem {
namespace {

constexpr uint64_t kGuardBytes = 64 * 1024;
// As many as there are threads at a time, and some that are about to end.
constexpr int kMostStacks = 24;

constinit OwnStack g_stacks[kMostStacks];
__thread OwnStack* t_stack __attribute__((tls_model("initial-exec"))) = nullptr;

uint64_t OwnerWord(uint64_t process, uint32_t thread) { return process << 32 | thread; }

bool Map(OwnStack* stack, uint64_t bytes) {
  const uint64_t all = bytes + 2 * kGuardBytes;
  const long start =
      os::Call(SYS_mmap, static_cast<long>(PlaceApart(all)), static_cast<long>(all), PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (os::Failed(start)) return false;
  const long usable = start + static_cast<long>(kGuardBytes);
  if (os::Failed(
          os::Call(SYS_mprotect, usable, static_cast<long>(bytes), PROT_READ | PROT_WRITE))) {
    os::Unmap(reinterpret_cast<void*>(start), all);
    return false;
  }
  NotePassingRange(reinterpret_cast<void*>(usable), bytes);
  stack->bytes.store(bytes, std::memory_order_relaxed);
  stack->start.store(static_cast<uint64_t>(usable), std::memory_order_relaxed);
  return true;
}

void Unmap(OwnStack* stack) {
  const uint64_t start = stack->start.exchange(0, std::memory_order_relaxed);
  const uint64_t bytes = stack->bytes.exchange(0, std::memory_order_relaxed);
  ForgetOwnRange(reinterpret_cast<void*>(start), bytes);
  os::Unmap(reinterpret_cast<void*>(start - kGuardBytes), bytes + 2 * kGuardBytes);
}

template <typename IsWanted>
OwnStack* TakeIf(IsWanted is_wanted) {
  const auto process = static_cast<uint64_t>(os::ProcessId());
  for (OwnStack& stack : g_stacks) {
    uint64_t owner = stack.owner.load(std::memory_order_acquire);
    const bool is_free = static_cast<uint32_t>(owner) == 0 || owner >> 32 != process;
    // A stack that is free does not change.
    if (!is_free || &stack == t_stack || !is_wanted(stack) ||
        !stack.owner.compare_exchange_strong(owner, OwnerWord(process, OwnStack::kTaken))) {
      continue;
    }
    if (is_wanted(stack)) return &stack;
    stack.owner.store(0, std::memory_order_release);
  }
  return nullptr;
}

}  // namespace

OwnStack* TakeOwnStack(uint64_t bytes) {
  const auto has = [](const OwnStack& stack) {
    return stack.bytes.load(std::memory_order_relaxed);
  };
  if (OwnStack* same = TakeIf([&](const OwnStack& stack) { return has(stack) == bytes; })) {
    return same;
  }
  if (OwnStack* unmapped = TakeIf([&](const OwnStack& stack) { return has(stack) == 0; })) {
    if (Map(unmapped, bytes)) return unmapped;
    unmapped->owner.store(0, std::memory_order_release);
  }
  return TakeIf([&](const OwnStack& stack) { return has(stack) > bytes; });
}

void GiveOwnStackBack(OwnStack* stack, bool is_too_small) {
  if (is_too_small) Unmap(stack);
  stack->owner.store(0, std::memory_order_release);
}

// The kernel clears its word when the thread is no more. glibc's word is for who joins a thread,
// and nobody joins these.
void BeginOnOwnStack(OwnStack* stack) {
  t_stack = stack;
  const auto process = static_cast<uint64_t>(os::ProcessId());
  // The first half of a word, where it is little-endian.
  const long tid = os::Call(SYS_set_tid_address, reinterpret_cast<long>(&stack->owner));
  stack->owner.store(OwnerWord(process, static_cast<uint32_t>(tid)), std::memory_order_relaxed);
}

void EndOnOwnStack(OwnStack* stack) {
  // For what follows, up to the end; and less than this is not worth a call.
  constexpr uint64_t kKeptBytes = 32 * 1024;
  constexpr uint64_t kWorthBytes = 128 * 1024;
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0)) & ~uint64_t{4095};
  const uint64_t start = stack->start.load(std::memory_order_relaxed);
  if (os::IsSealed() || here < start + kKeptBytes + kWorthBytes) return;
  os::Call(SYS_madvise, static_cast<long>(start), static_cast<long>(here - kKeptBytes - start),
           MADV_DONTNEED);
}

void OwnStacksAfterForkInChild() {
  if (t_stack != nullptr) BeginOnOwnStack(t_stack);
}

}  // namespace taskmem
