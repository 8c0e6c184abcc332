#include "tools/simulation/simulation.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "accounting/pools/unified_memory_manager.h"
#include "accounting/tasks/task_book.h"
#include "accounting/tasks/task_grants.h"
#include "shim/options/option_table.h"
#include "shim/options/options.h"

namespace taskmem {
namespace {

constexpr uint64_t kMostMemory = uint64_t{1} << 60;  // sums must not overflow
constexpr uint64_t kMostHeld = uint64_t{1} << 47;    // of an address space
constexpr size_t kMostHeldValues = 8192;             // enough for a picture
constexpr MemoryMode kMode = MemoryMode::kOffHeap;

// The options that the program had.
Options RecordedOptions(const Recording& recording) {
  Options options;
  for (size_t i = 0; i < kOptionCount; ++i) {
    const auto found = recording.settings.find(kOptions[i].name);
    // One that is none says nothing.
    if (found != recording.settings.end()) kOptions[i].parse(found->second.c_str(), &options);
  }
  return options;
}

// The cached blocks, as one.
class Storage final : public BlockEvictor {
 public:
  // `book` says what is held: what it has beyond the storage pool counts as of nobody.
  void Open(UnifiedMemoryManager* pools, TaskBook* book) {
    pools_ = pools;
    book_ = book;
  }

  Result<int64_t> EvictBlocksToFreeSpace(const std::string_view*, int64_t bytes,
                                         MemoryMode mode) override {
    const int64_t evicted = std::min(bytes, held_);
    SetHeld(held_ - evicted);
    evicted_ += static_cast<uint64_t>(evicted);
    if (evicted != 0) pools_->ReleaseStorageMemory(evicted, mode);
    return evicted;
  }

  // What is cached from now on.
  void Set(int64_t bytes) {
    if (bytes < wanted_) {
      // What is dropped may have been evicted before.
      const int64_t dropped = std::min(wanted_ - bytes, held_);
      SetHeld(held_ - dropped);
      if (dropped != 0) pools_->ReleaseStorageMemory(dropped, kMode);
    } else if (bytes > wanted_) {
      const auto taken = pools_->AcquireStorageMemory("block", bytes - wanted_, kMode);
      if (taken.ok() && *taken) {
        SetHeld(held_ + bytes - wanted_);
      } else {
        not_cached_ += static_cast<uint64_t>(bytes - wanted_);
      }
    }
    wanted_ = bytes;
  }

  uint64_t held() const { return static_cast<uint64_t>(held_); }
  uint64_t evicted() const { return evicted_; }
  uint64_t not_cached() const { return not_cached_; }

 private:
  void SetHeld(int64_t bytes) {
    held_ = bytes;
    book_->charged_bytes = static_cast<uint64_t>(bytes);
  }

  UnifiedMemoryManager* pools_ = nullptr;
  TaskBook* book_ = nullptr;
  int64_t held_ = 0;
  int64_t wanted_ = 0;
  uint64_t evicted_ = 0;
  uint64_t not_cached_ = 0;
};

class Replay {
 public:
  Replay(const Recording& recording, const SimulatedLimits& limits)
      : recording_(recording),
        limits_(limits),
        options_(RecordedOptions(recording)),
        books_(kMaxTaskSlots),
        tasks_(recording.tasks.size()),
        pools_(PoolOptions()),
        grants_(pools_, books_.data(), slots_, unmanaged_) {
    for (uint32_t slot = 0; slot < kFirstTaskSlot; ++slot) {
      books_[slot].quota_bytes = kNoQuota;
      books_[slot].granted_bytes = kNoPool;
      books_[slot].state = TaskState::kLive;
    }
    storage_.Open(&pools_, &books_[kStorageSlot]);
    pools_.SetMemoryStore(&storage_);
    pools_.SetIdleGrantHolder(&grants_);
  }

  // `ends_early`: at the first that finds no room.
  SimulationResult Run(const std::vector<ReplayStep>& steps, bool ends_early) {
    for (const ReplayStep& step : steps) {
      if (step.kind == Kind::kSlack) {
        grants_.NoteSlack(static_cast<int64_t>(std::min(step.value, kMostHeld)));
        continue;
      }
      const RecordedTask& recorded = recording_.tasks[step.task];
      if (!IsPossible(step, recorded)) continue;
      const uint32_t slot = recorded.slot;
      const uint64_t before = books_[slot].charged_bytes;
      Take(step, slot, recorded.IsTask());
      if (slot != kStorageSlot) held_bytes_ += books_[slot].charged_bytes - before;
      NoteHeld(step.us);
      if (ends_early && result_.first) break;
    }
    result_.evicted_bytes = storage_.evicted();
    result_.not_cached_bytes = storage_.not_cached();
    for (const Task& task : tasks_) result_.tasks += task.was_short ? 1 : 0;
    EstimateStalls();
    return std::move(result_);
  }

 private:
  using Kind = ReplayStep::Kind;

  struct Task {
    bool is_there = false;
    bool was_short = false;
    uint64_t recorded = 0;        // what it held when it was recorded
    uint64_t recorded_quota = 0;  // as it was then
    uint64_t short_bytes = 0;     // of that, what found no room here
  };

  MemoryManagerOptions PoolOptions() {
    uint64_t memory = options_.memory_bytes != 0 ? options_.memory_bytes : UINT64_MAX;
    if (options_.memory_bytes == 0 && options_.share != Sharing::kNone) memory = RecordedMemory();
    memory = std::min(limits_.memory_bytes.value_or(memory), kMostMemory);
    const double fraction = limits_.storage_fraction.value_or(options_.storage_fraction);
    MemoryManagerOptions settings;
    settings.max_off_heap_bytes = static_cast<int64_t>(memory);
    settings.off_heap_storage_region_bytes =
        static_cast<int64_t>(static_cast<double>(memory) * fraction);
    settings.tungsten_mode = kMode;
    settings.sharing = limits_.sharing.value_or(options_.share);
    settings.unmanaged = &unmanaged_;
    return settings;
  }

  uint64_t RecordedMemory() const {
    uint64_t memory = UINT64_MAX;
    for (const RecordedPools& pools : recording_.pools) {
      if (pools.memory_bytes) memory = *pools.memory_bytes;
    }
    return memory;
  }

  // Else the recording is damaged, or made up.
  static bool IsPossible(const ReplayStep& step, const RecordedTask& task) {
    if (task.IsTask() ? task.slot < kFirstTaskSlot || task.slot >= kMaxTaskSlots
                      : task.slot >= kFirstTaskSlot) {
      return false;
    }
    const bool is_quota = step.kind == Kind::kBegin || step.kind == Kind::kQuota;
    return is_quota || (step.value <= kMostHeld && step.held <= kMostHeld);
  }

  void Take(const ReplayStep& step, uint32_t slot, bool is_task) {
    if (!is_task) return TakeOfNone(step, slot);
    Task& task = tasks_[step.task];
    if (step.kind != Kind::kBegin && !task.is_there) return;
    switch (step.kind) {
      case Kind::kBegin: Begin(step, slot, &task); break;
      case Kind::kQuota:
        task.recorded_quota = step.value;
        books_[slot].quota_bytes = limits_.quota_bytes.value_or(step.value);
        break;
      case Kind::kCharge:
      case Kind::kPeak: Set(step, slot, &task, step.value); break;
      case Kind::kRefused: Refused(step, slot, &task); break;
      case Kind::kEnd:
        books_[slot].state = TaskState::kEnded;
        grants_.EndTask(slot);
        break;
      case Kind::kGone: Forget(slot, step.task); break;
      case Kind::kSlack: break;
    }
  }

  // Untracked, ended tasks, the spill reserve: nobody refuses them anything. The storage.
  void TakeOfNone(const ReplayStep& step, uint32_t slot) {
    if (step.kind != Kind::kCharge) return;
    if (slot == kStorageSlot) return storage_.Set(static_cast<int64_t>(step.value));
    books_[slot].charged_bytes = step.value;
  }

  void Begin(const ReplayStep& step, uint32_t slot, Task* task) {
    if (owner_.size() <= slot) owner_.resize(slot + 1, SIZE_MAX);
    if (owner_[slot] != SIZE_MAX) Forget(slot, owner_[slot]);
    owner_[slot] = step.task;
    if (slots_ <= slot) slots_ = slot + 1;
    task->is_there = true;
    task->recorded_quota = step.value;
    TaskBook& book = books_[slot];
    book.charged_bytes = 0;
    book.granted_bytes = 0;
    book.quota_bytes = limits_.quota_bytes.value_or(step.value);
    book.state = TaskState::kLive;
  }

  void Forget(uint32_t slot, size_t task) {
    if (owner_[slot] != task) return;
    owner_[slot] = SIZE_MAX;
    tasks_[task].is_there = false;
    books_[slot].Credit(books_[slot].charged_bytes);
    grants_.EndTask(slot);
    grants_.Forget(slot);
    books_[slot].granted_bytes = 0;
    DropShort(task, tasks_[task].short_bytes);
  }

  // The task gives back so much of what it is short of.
  void DropShort(size_t task, uint64_t bytes) {
    tasks_[task].short_bytes -= bytes;
    if (EndOf(task) == ShortEnd::kOverflowed) overflow_ -= bytes;
  }

  // The task holds `bytes` from now on, as recorded.
  void Set(const ReplayStep& step, uint32_t slot, Task* task, uint64_t bytes) {
    const uint64_t before = task->recorded;
    task->recorded = bytes;
    if (bytes > before) return Grow(step, slot, task, bytes - before);
    uint64_t less = before - bytes;
    const uint64_t from_short = std::min(less, task->short_bytes);
    DropShort(step.task, from_short);
    less -= from_short;
    if (less == 0) return;
    TaskBook& book = books_[slot];
    const uint64_t charged = book.Credit(less);
    if (TaskGrants::HasMuchIdle(book, charged, TaskGrants::kMaxIdleBytes, overdrawn_)) {
      grants_.ReturnIdle(slot);
    }
  }

  // kCharged: there is room, and it is taken. Else what refuses.
  ChargeOutcome Charge(uint32_t slot, uint64_t bytes) {
    ChargeOutcome outcome = grants_.AcquireAndCharge(slot, bytes);
    if (outcome == ChargeOutcome::kOverGrant && grants_.AcquireAhead(slot, bytes, 0) != 0) {
      outcome = grants_.AcquireAndCharge(slot, bytes);
    }
    return outcome;
  }

  void Grow(const ReplayStep& step, uint32_t slot, Task* task, uint64_t bytes) {
    // What policy let through above the quota of then are requests that are not refused.
    const uint64_t above = task->recorded > task->recorded_quota
                               ? std::min(bytes, task->recorded - task->recorded_quota)
                               : 0;
    const uint64_t bounded = bytes - above;
    if (above != 0) LetThrough(slot, above);
    // It was charged step by step: what fits of it has been.
    if (bounded == 0) return;
    const ChargeOutcome outcome = Charge(slot, bounded);
    if (outcome == ChargeOutcome::kCharged) return;
    const uint64_t fits = ChargeWhatFits(slot, bounded);
    // It grew evenly since the look before, for all that is known.
    ReplayStep at = step;
    const int64_t since_us = LookBefore(step.us);
    at.us =
        since_us + static_cast<int64_t>(static_cast<double>(step.us - since_us) *
                                        static_cast<double>(fits) / static_cast<double>(bounded));
    NoteShort(at, slot, task, bounded - fits, outcome == ChargeOutcome::kOverQuota, bounded - fits);
  }

  // As much of `bytes` as there is room for, to a 64th of it.
  uint64_t ChargeWhatFits(uint32_t slot, uint64_t bytes) {
    uint64_t done = 0;
    for (uint64_t part = bytes / 2; part >= bytes / 64 && part >= 4096; part /= 2) {
      if (Charge(slot, part) == ChargeOutcome::kCharged) done += part;
    }
    return done;
  }

  // The time of the look before, since which a charge has changed.
  int64_t LookBefore(int64_t us) const {
    const std::vector<int64_t>& times = recording_.times;
    const auto look = std::lower_bound(times.begin(), times.end(), us);
    return look != times.begin() ? *std::prev(look) : us;
  }

  void LetThrough(uint32_t slot, uint64_t bytes) {
    books_[slot].ChargeOverQuota(bytes);
    grants_.Cover(slot, bytes);
  }

  // A request that was refused when recorded is made again. Where it would be served, nobody knows
  // for how long: nothing is held for it.
  void Refused(const ReplayStep& step, uint32_t slot, Task* task) {
    // The books of that moment are exact, the look before it is older.
    if (step.by_quota && step.held <= task->recorded_quota) Set(step, slot, task, step.held);
    const ChargeOutcome outcome = Charge(slot, step.value);
    if (outcome == ChargeOutcome::kCharged) {
      books_[slot].Credit(step.value);
      return grants_.ReturnIdle(slot);
    }
    NoteShort(step, slot, task, step.value, outcome == ChargeOutcome::kOverQuota, 0);
  }

  ShortEnd EndOf(size_t task) const {
    if (recording_.tasks[task].Get(Counter::kSpillFreed) != 0) return ShortEnd::kSpilled;
    const bool has_overflow =
        options_.overflow == Overflow::kOn ||
        (options_.overflow == Overflow::kWhereSpillDir && options_.spill_dir[0] != '\0');
    if (has_overflow) return ShortEnd::kOverflowed;
    if (options_.at_limit == AtLimit::kOverdraw) return ShortEnd::kOverdrawn;
    if (options_.at_limit == AtLimit::kKill) return ShortEnd::kKilled;
    return ShortEnd::kRefused;
  }

  // `needed` bytes found no room; `stays` of them the task goes on without.
  void NoteShort(const ReplayStep& step, uint32_t slot, Task* task, uint64_t needed, bool by_quota,
                 uint64_t stays) {
    const FirstShort found = {step.us,  step.task, EndOf(step.task),
                              by_quota, needed,    books_[slot].charged_bytes};
    if (!result_.first) result_.first = found;
    ++result_.times;
    task->was_short = true;
    switch (found.end) {
      case ShortEnd::kRefused:
        if (!result_.first_refusal) result_.first_refusal = found;
        ++result_.refused_times;
        result_.refused_bytes += needed;
        break;
      case ShortEnd::kSpilled: result_.spilled_bytes += needed; break;
      case ShortEnd::kOverflowed:
        overflow_ += stays;
        result_.overflow_bytes = std::max(result_.overflow_bytes, overflow_);
        break;
      case ShortEnd::kOverdrawn:
        if (stays != 0) LetThrough(slot, stays);
        return;
      case ShortEnd::kKilled: break;
    }
    task->short_bytes += stays;
  }

  void NoteHeld(int64_t us) {
    const uint64_t held = held_bytes_ + storage_.held();
    result_.peak_held_bytes = std::max(result_.peak_held_bytes, held);
    auto& values = result_.held;
    if (!values.empty() && values.back().us == us) {
      values.back().value = held;
    } else if (values.empty() || values.back().value != held) {
      if (values.size() >= kMostHeldValues) Thin(&values);
      values.push_back({us, held});
    }
  }

  // Of every two neighbours but the last the larger is left.
  static void Thin(std::vector<RecordedValue>* values) {
    size_t left = 0;
    for (size_t i = 0; i + 1 < values->size(); i += 2) {
      const uint64_t next = i + 2 < values->size() ? (*values)[i + 1].value : 0;
      (*values)[left++] = {(*values)[i].us, std::max((*values)[i].value, next)};
    }
    (*values)[left++] = values->back();
    values->resize(left);
  }

  // By what hooks freed in the time that tasks stalled for them when recorded.
  void EstimateStalls() {
    uint64_t freed = 0;
    uint64_t stalled = 0;
    for (const RecordedTask& task : recording_.tasks) {
      if (task.Get(Counter::kSpillFreed) == 0) continue;
      freed += task.Get(Counter::kSpillFreed);
      stalled += task.Get(Counter::kStallNs);
    }
    if (freed == 0 || stalled == 0) return;
    constexpr double kMostNs = 1e18;
    const double ns = static_cast<double>(result_.spilled_bytes) * static_cast<double>(stalled) /
                      static_cast<double>(freed);
    result_.stall_ns = static_cast<uint64_t>(std::min(ns, kMostNs));
  }

  const Recording& recording_;
  const SimulatedLimits limits_;
  const Options options_;
  std::vector<TaskBook> books_;
  std::vector<Task> tasks_;
  std::vector<size_t> owner_;  // by slot: its task; SIZE_MAX: none
  std::atomic<uint32_t> slots_{kFirstTaskSlot};
  const std::atomic<uint64_t> overdrawn_{0};
  UnmanagedTotals unmanaged_;
  Storage storage_;
  UnifiedMemoryManager pools_;
  TaskGrants grants_;
  uint64_t overflow_ = 0;
  uint64_t held_bytes_ = 0;  // of all books but the storage's
  SimulationResult result_;
};

}  // namespace

Simulator::Simulator(const Recording& recording)
    : recording_(recording), steps_(StepsOf(recording)) {}

SimulationResult Simulator::Run(const SimulatedLimits& limits) const {
  return std::make_unique<Replay>(recording_, limits)->Run(steps_, /*ends_early=*/false);
}

std::optional<uint64_t> Simulator::FindQuota(SimulatedLimits limits, uint64_t step) const {
  const auto suffices = [&](uint64_t steps) {
    limits.quota_bytes = steps * step;
    return !std::make_unique<Replay>(recording_, limits)->Run(steps_, /*ends_early=*/true).first;
  };
  uint64_t most = 0;
  for (const ReplayStep& one : steps_) {
    const bool takes = one.kind == ReplayStep::Kind::kCharge ||
                       one.kind == ReplayStep::Kind::kPeak ||
                       one.kind == ReplayStep::Kind::kRefused;
    if (!takes || one.value > kMostHeld || one.held > kMostHeld) continue;
    most = std::max(most, one.value + one.held);
  }
  uint64_t high = most / step + 1;
  if (!suffices(high)) return std::nullopt;
  uint64_t low = 0;  // does not suffice
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    (suffices(middle) ? high : low) = middle;
  }
  return high * step;
}

}  // namespace taskmem
