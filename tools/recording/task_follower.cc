#include "tools/recording/task_follower.h"

#include <algorithm>

namespace taskmem {
namespace {

uint64_t PlusOne(uint64_t value) { return value + 1; }  // UINT64_MAX, none, becomes 0

std::array<uint64_t, kCounters> CountersOf(const TaskBook& book, const ReclaimBook& reclaim) {
  std::array<uint64_t, kCounters> counters = {};
  const auto set = [&](Counter counter, uint64_t value) {
    counters[static_cast<size_t>(counter)] = value;
  };
  // A charge raises the peak a moment after it counts.
  set(Counter::kPeak, std::max(book.peak_charged_bytes.load(), book.charged_bytes.load()));
  set(Counter::kPeakOverdraft, book.peak_overdraft_bytes);
  set(Counter::kOverflow, reclaim.overflow_bytes);
  set(Counter::kPeakOverflow, reclaim.peak_overflow_bytes);
  set(Counter::kRefusals, book.refusals);
  set(Counter::kOverdrafts, book.overdrafts);
  set(Counter::kSpillCalls, reclaim.spill_calls);
  set(Counter::kSpillAsked, reclaim.spill_asked_bytes);
  set(Counter::kSpillFreed, reclaim.spill_freed_bytes);
  set(Counter::kSoftSpillCalls, reclaim.soft_spill_calls);
  set(Counter::kSoftSpillFreed, reclaim.soft_spill_freed_bytes);
  set(Counter::kStalls, reclaim.stalls);
  set(Counter::kStallNs, reclaim.stall_ns);
  set(Counter::kEvictedBlocks, reclaim.evicted_blocks);
  set(Counter::kEvictedBytes, reclaim.evicted_bytes);
  set(Counter::kWrittenBytes, reclaim.written_bytes);
  set(Counter::kReadBytes, reclaim.read_bytes);
  set(Counter::kPushedOut, reclaim.pushed_out_bytes);
  set(Counter::kReturned, reclaim.returned_bytes);
  set(Counter::kWaits, reclaim.waits);
  set(Counter::kWaitNs, reclaim.wait_ns);
  return counters;
}

// What a charge changes by before it is worth a record: less than what people see in a picture.
constexpr uint64_t kLeastStep = 16 * 1024;
uint64_t StepOf(uint64_t charged) {
  constexpr uint64_t kPart = 256;
  return std::max(kLeastStep, charged / kPart);
}

}  // namespace

TaskFollower::Slot& TaskFollower::At(uint32_t slot) {
  if (slot >= slots_.size()) slots_.resize(slot + 1);
  return slots_[slot];
}

std::optional<uint64_t> TaskFollower::TaskIn(uint32_t slot, std::optional<uint64_t> id) const {
  if (slot >= slots_.size() || !slots_[slot].has_task) return std::nullopt;
  if (slots_[slot].id != id.value_or(UINT64_MAX)) return std::nullopt;
  return slots_[slot].number;
}

int64_t TaskFollower::RelativeUs(uint64_t time_ns) const {
  return static_cast<int64_t>(time_ns - now_ns_) / 1000;
}

void TaskFollower::Begin(uint32_t slot, uint64_t id, const std::string& name, uint64_t quota,
                         uint64_t time_ns, uint32_t flags) {
  Slot& at = At(slot);
  if (at.has_task) Gone(&at);
  if (at.is_pending && at.id != id) ++left_out_;
  const uint64_t changed_ns = at.changed_ns;
  at = {};
  at.changed_ns = changed_ns;
  at.has_task = true;
  at.number = tasks_++;
  at.id = id;
  at.name = name;
  at.quota = quota;
  PackedWriter record;
  record.Number(at.number).Number(slot).Number(PlusOne(id)).Text(name).Number(PlusOne(quota));
  record.Signed(RelativeUs(time_ns)).Number(flags);
  file_->Add(RecordType::kTask, record);
}

void TaskFollower::End(Slot* slot, uint64_t peak, uint64_t held, uint64_t time_ns) {
  slot->has_ended = true;
  slot->charged = held;
  uint64_t& written_peak = slot->counters[static_cast<size_t>(Counter::kPeak)];
  written_peak = std::max(written_peak, peak);
  PackedWriter record;
  record.Number(slot->number).Signed(RelativeUs(time_ns)).Number(peak).Number(held);
  file_->Add(RecordType::kTaskEnd, record);
}

void TaskFollower::Gone(Slot* slot) {
  file_->Add(RecordType::kTaskGone, PackedWriter().Number(slot->number));
  slot->has_task = false;
}

void TaskFollower::FollowEvents(const std::vector<Event>& events, bool spare) {
  for (const Event& event : events) FollowEvent(event, spare);
}

void TaskFollower::FollowEvent(const Event& event, bool spare) {
  Slot& slot = At(event.slot);
  const bool is_same = slot.has_task && !slot.has_ended && slot.id == event.task_id;
  switch (event.kind) {
    case EventKind::kTaskBegin:
      slot.changed_ns = event.time_ns;
      // A copy of the books was faster.
      if (is_same) return;
      if (!spare) return Begin(event.slot, event.task_id, "", event.limit, event.time_ns, 0);
      if (slot.has_task) Gone(&slot);
      if (slot.is_pending) ++left_out_;
      slot.is_pending = true;
      slot.is_left_out = false;
      slot.id = event.task_id;
      slot.began_ns = event.time_ns;
      return;
    case EventKind::kTaskEnd:
      slot.changed_ns = event.time_ns;
      if (is_same) return End(&slot, event.bytes, event.held, event.time_ns);
      // Its begin and its end; or its end alone, where its begin was lost.
      slot.is_left_out = slot.is_pending && slot.id == event.task_id;
      slot.is_pending = false;
      left_out_ += slot.is_left_out ? 2 : 1;
      return;
    default:
      if (spare) {
        ++left_out_;
        return;
      }
      PackedWriter record;
      record.Number(static_cast<uint32_t>(event.kind));
      record.Number(slot.has_task && slot.id == event.task_id ? slot.number + 1 : 0);
      record.Signed(RelativeUs(event.time_ns)).Number(event.flags);
      record.Number(event.bytes).Number(event.held).Number(PlusOne(event.limit));
      file_->Add(RecordType::kEvent, record);
  }
}

void TaskFollower::FollowBooks(const StatsSnapshot& books, uint64_t begun_ns, bool exact) {
  for (uint32_t slot = 0; slot < books.slots(); ++slot) {
    // What an event said since may be newer than this copy, or not: it is written before the
    // books change, by a thread that may lose its processor in between.
    constexpr uint64_t kMarginNs = 20'000'000;
    if (slot < slots_.size() && slots_[slot].changed_ns + kMarginNs >= begun_ns) continue;
    FollowBook(slot, books, exact);
  }
  is_first_ = false;
}

void TaskFollower::FollowBook(uint32_t number, const StatsSnapshot& books, bool exact) {
  const TaskBook& book = books.Book(number);
  const SlotIdentity& identity = books.Identity(number);
  const bool is_none = number < kFirstTaskSlot;
  const bool is_there = is_none
                            ? number == kUntrackedSlot || book.peak_charged_bytes != 0 ||
                                  (number == kEndedTasksSlot && books.Header().tasks_folded != 0)
                            : identity.state != TaskState::kFree;
  Slot* slot = &At(number);
  if (!is_there) {
    if (slot->has_task) Gone(slot);
    return;
  }
  const bool is_known = slot->id == identity.id && !is_none;
  if (is_known && slot->is_left_out && book.charged_bytes < kLeastStep) return;
  const auto counters = CountersOf(book, books.Reclaim(number));
  constexpr auto kPeak = static_cast<size_t>(Counter::kPeak);
  const bool has_ended = !is_none && identity.state == TaskState::kEnded;
  const bool is_other = slot->has_task && !is_none &&
                        (slot->id != identity.id || (slot->has_ended && !has_ended) ||
                         counters[kPeak] < slot->counters[kPeak]);
  if (!slot->has_task || is_other) {
    const bool has_begin = is_known && (slot->is_pending || slot->is_left_out);
    Begin(number, is_none ? UINT64_MAX : identity.id, identity.name, book.quota_bytes,
          has_begin ? slot->began_ns : now_ns_,
          (is_first_ ? uint32_t{kTaskWasThere} : 0) | (is_none ? uint32_t{kTaskIsNone} : 0));
    slot = &At(number);
  }
  const uint64_t quota = book.quota_bytes;
  if (slot->name != identity.name || slot->quota != quota) {
    slot->name = identity.name;
    slot->quota = quota;
    file_->Add(RecordType::kTaskChange,
               PackedWriter().Number(slot->number).Number(PlusOne(quota)).Text(identity.name));
  }
  PackedWriter changes;
  size_t changed = 0;
  for (size_t i = 0; i < kCounters; ++i) {
    if (counters[i] == slot->counters[i]) continue;
    // A peak that the charge shows anyway.
    if (i == kPeak && !exact && counters[i] - slot->counters[i] < StepOf(counters[i])) continue;
    changes.Number(i).Signed(static_cast<int64_t>(counters[i] - slot->counters[i]));
    slot->counters[i] = counters[i];
    ++changed;
  }
  if (changed != 0) {
    PackedWriter record;
    record.Number(slot->number).Number(changed);
    file_->Add(RecordType::kCounters, PackedWriter(record.bytes() + changes.bytes()));
  }
  const uint64_t charged = book.charged_bytes;
  const uint64_t change =
      charged > slot->charged ? charged - slot->charged : slot->charged - charged;
  const bool ends_now = has_ended && !slot->has_ended;
  if (change != 0 && (exact || ends_now || charged == 0 || change >= StepOf(charged))) {
    WriteCharge(slot, charged);
  }
  if (ends_now) End(slot, counters[kPeak], charged, now_ns_);
}

void TaskFollower::WriteCharge(Slot* slot, uint64_t charged) {
  file_->Add(
      RecordType::kCharge,
      PackedWriter().Number(slot->number).Signed(static_cast<int64_t>(charged - slot->charged)));
  slot->charged = charged;
}

void TaskFollower::ForgetAll() {
  for (Slot& slot : slots_) {
    if (slot.has_task) Gone(&slot);
  }
  slots_.clear();
  tasks_ = 0;
  is_first_ = true;
}

}  // namespace taskmem
