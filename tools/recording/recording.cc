#include "tools/recording/recording.h"

#include <algorithm>

#include "tools/recording/frame_reader.h"

namespace taskmem {
namespace {

// What a recording may take of our memory, in values of all kinds.
constexpr size_t kMostValues = 60'000'000;
constexpr size_t kMostTasks = 4'000'000;
constexpr size_t kMostText = 4096;
constexpr int64_t kMostUs = int64_t{1} << 52;

std::string Cut(std::string_view text) { return std::string(text.substr(0, kMostText)); }

uint64_t MinusOne(uint64_t value) { return value - 1; }  // 0 becomes UINT64_MAX, none

class Reader {
 public:
  // False: there is too much of it.
  bool Visit(RecordType type, PackedReader record) {
    // Another program of the process goes on in the same picture: its tasks are others.
    switch (type) {
      case RecordType::kStart: Start(&record); break;
      case RecordType::kSetting: {
        const std::string name = Cut(record.Text());
        recording_.settings.insert_or_assign(name, Cut(record.Text()));
        break;
      }
      case RecordType::kTime:
        now_ = std::min(now_ + static_cast<int64_t>(std::min<uint64_t>(record.Number(), kMostUs)),
                        kMostUs);
        recording_.times.push_back(now_);
        break;
      case RecordType::kTask: AddTask(&record); break;
      case RecordType::kTaskChange: ChangeTask(&record); break;
      case RecordType::kCharge: Charge(&record); break;
      case RecordType::kCounters: Count(&record); break;
      case RecordType::kTaskEnd: EndTask(&record); break;
      case RecordType::kTaskGone:
        if (RecordedTask* const task = Task(record.Number())) {
          task->gone_us = now_;
          if (!task->charged.empty() && task->charged.back().value != 0) {
            Put(&task->charged, now_, 0);
          }
        }
        break;
      case RecordType::kEvent: AddEvent(&record); break;
      case RecordType::kPools: AddPools(&record); break;
      case RecordType::kProcess: {
        auto& process = recording_.process.emplace_back();
        process = {now_, record.Number(), record.Number(), record.Number(), record.Number()};
        break;
      }
      case RecordType::kClasses: {
        auto& classes = recording_.classes.emplace_back();
        classes.us = now_;
        const uint64_t count = record.Number();
        for (uint64_t i = 0; i < count && record.ok(); ++i) {
          const uint64_t bytes = record.Number();
          if (i < classes.bytes.size()) classes.bytes[i] = bytes;
        }
        break;
      }
      case RecordType::kModules: SetModules(&record); break;
      case RecordType::kStack: AddStack(&record); break;
      case RecordType::kSites: AddLook(&record); break;
      case RecordType::kSymbol: AddSymbol(&record); break;
      case RecordType::kDropped: recording_.dropped_events += record.Number(); break;
      case RecordType::kEnd: {
        const uint64_t reason = record.Number();
        if (reason <= static_cast<uint32_t>(EndReason::kExecuted)) {
          recording_.end = static_cast<EndReason>(reason);
          recording_.end_signal = static_cast<int>(std::min<uint64_t>(record.Number(), 127));
        }
        break;
      }
    }
    ++values_;
    return values_ <= kMostValues && recording_.tasks.size() <= kMostTasks;
  }

  Recording Take() {
    recording_.end_us = now_;
    std::stable_sort(recording_.events.begin(), recording_.events.end(),
                     [](const RecordedEvent& a, const RecordedEvent& b) { return a.us < b.us; });
    return std::move(recording_);
  }

 private:
  void Start(PackedReader* record) {
    const uint64_t unix_ns = record->Number();
    const uint64_t monotonic_ns = record->Number();
    if (has_started_) {
      // Since the last record of the program before.
      const uint64_t us = (monotonic_ns - recording_.monotonic_ns) / 1000;
      if (us <= static_cast<uint64_t>(kMostUs)) now_ = std::max(now_, static_cast<int64_t>(us));
      ++recording_.executions;
      recording_.settings.clear();
    } else {
      recording_.unix_ns = unix_ns;
      recording_.monotonic_ns = monotonic_ns;
    }
    has_started_ = true;
    first_task_ = recording_.tasks.size();
    recording_.end = EndReason::kUnknown;
    recording_.pid = record->Number();
    record->Number();
    recording_.program = Cut(record->Text());
    recording_.title = Cut(record->Text());
    recording_.interval_us = record->Number();
    recording_.version = Cut(record->Text());
    recording_.has_events = record->Number() != 0;
  }

  RecordedTask* Task(uint64_t number) {
    const size_t count = recording_.tasks.size() - first_task_;
    return number < count ? &recording_.tasks[first_task_ + number] : nullptr;
  }
  std::optional<size_t> TaskIndex(uint64_t plus_one) {
    if (plus_one == 0 || Task(plus_one - 1) == nullptr) return std::nullopt;
    return first_task_ + plus_one - 1;
  }

  int64_t TimeOf(PackedReader* record) {
    const int64_t relative = std::clamp(record->Signed(), -kMostUs, kMostUs);
    return std::clamp<int64_t>(now_ + relative, 0, kMostUs);
  }

  // Keeps the order.
  void Put(std::vector<RecordedValue>* values, int64_t us, uint64_t value) {
    if (!values->empty() && us < values->back().us) us = values->back().us;
    values->push_back({us, value});
    ++values_;
  }

  void AddTask(PackedReader* record) {
    const uint64_t number = record->Number();
    if (number != recording_.tasks.size() - first_task_) return;  // each is told of once
    RecordedTask& task = recording_.tasks.emplace_back();
    task.slot = static_cast<uint32_t>(record->Number());
    const uint64_t id = MinusOne(record->Number());
    task.name = Cut(record->Text());
    const uint64_t quota = MinusOne(record->Number());
    task.begin_us = TimeOf(record);
    task.flags = static_cast<uint32_t>(record->Number());
    if (task.IsTask()) task.id = id;
    Put(&task.quota, task.begin_us, quota);
  }

  void ChangeTask(PackedReader* record) {
    RecordedTask* const task = Task(record->Number());
    if (task == nullptr) return;
    const uint64_t quota = MinusOne(record->Number());
    task->name = Cut(record->Text());
    if (task->quota.back().value != quota) Put(&task->quota, now_, quota);
  }

  void Charge(PackedReader* record) {
    RecordedTask* const task = Task(record->Number());
    const auto change = static_cast<uint64_t>(record->Signed());
    if (task == nullptr) return;
    const uint64_t before = task->charged.empty() ? 0 : task->charged.back().value;
    Put(&task->charged, now_, before + change);
    task->peak_bytes = std::max(task->peak_bytes, before + change);
  }

  void Count(PackedReader* record) {
    RecordedTask* const task = Task(record->Number());
    const uint64_t count = record->Number();
    for (uint64_t i = 0; i < count && record->ok(); ++i) {
      const uint64_t index = record->Number();
      const auto change = static_cast<uint64_t>(record->Signed());
      if (task == nullptr || index >= kCounters) continue;
      uint64_t& value = task->counters[index];
      const auto counter = static_cast<Counter>(index);
      task->changes.push_back({now_, counter, value + change, value});
      ++values_;
      value += change;
      if (counter == Counter::kPeak) task->peak_bytes = std::max(task->peak_bytes, value);
    }
  }

  void EndTask(PackedReader* record) {
    RecordedTask* const task = Task(record->Number());
    if (task == nullptr) return;
    task->end_us = TimeOf(record);
    const uint64_t peak = record->Number();
    const uint64_t held = record->Number();
    uint64_t& counted = task->counters[static_cast<size_t>(Counter::kPeak)];
    if (peak > counted) {
      task->changes.push_back({*task->end_us, Counter::kPeak, peak, counted});
      counted = peak;
    }
    task->peak_bytes = std::max(task->peak_bytes, peak);
    if ((task->charged.empty() ? 0 : task->charged.back().value) != held) {
      Put(&task->charged, *task->end_us, held);
    }
  }

  void AddEvent(PackedReader* record) {
    const uint64_t kind = record->Number();
    if (kind == 0 || kind > kEventKinds) return;
    RecordedEvent& event = recording_.events.emplace_back();
    event.kind = static_cast<EventKind>(kind);
    event.task = TaskIndex(record->Number());
    event.us = TimeOf(record);
    event.flags = static_cast<uint32_t>(record->Number());
    event.bytes = record->Number();
    event.held = record->Number();
    event.limit = MinusOne(record->Number());
  }

  void AddPools(PackedReader* record) {
    RecordedPools& pools = recording_.pools.emplace_back();
    pools.us = now_;
    const uint64_t memory = MinusOne(record->Number());
    pools.is_memory_known = memory != 0;
    if (memory != 0 && memory != UINT64_MAX) pools.memory_bytes = memory;
    for (uint64_t RecordedPools::*value :
         {&RecordedPools::execution_size, &RecordedPools::execution_used,
          &RecordedPools::storage_size, &RecordedPools::storage_used, &RecordedPools::overdrawn,
          &RecordedPools::active_tasks, &RecordedPools::untouched, &RecordedPools::slack}) {
      pools.*value = record->Number();
    }
  }

  void SetModules(PackedReader* record) {
    recording_.modules.clear();
    const uint64_t count = record->Number();
    for (uint64_t i = 0; i < count && record->ok(); ++i) {
      Module module;
      module.start = record->Number();
      module.end = module.start + record->Number();
      module.path = Cut(record->Text());
      if (!record->ok() || module.end < module.start) continue;
      recording_.modules.push_back(std::move(module));
      ++values_;
    }
    std::sort(recording_.modules.begin(), recording_.modules.end(),
              [](const Module& a, const Module& b) { return a.start < b.start; });
  }

  void AddStack(PackedReader* record) {
    constexpr uint64_t kMostFrames = 64;
    const uint64_t number = record->Number();
    // Those of the program before have been told of under other numbers.
    if (number < next_stack_) return;
    next_stack_ = number + 1;
    stack_index_[number] = recording_.stacks.size();
    RecordedStack& stack = recording_.stacks.emplace_back();
    stack.flags = static_cast<uint32_t>(record->Number());
    const uint64_t count = std::min(record->Number(), kMostFrames);
    uint64_t last = 0;
    for (uint64_t i = 0; i < count && record->ok(); ++i) {
      last += static_cast<uint64_t>(record->Signed());
      stack.frames.push_back(last);
      ++values_;
    }
  }

  void AddLook(PackedReader* record) {
    RecordedLook& look = recording_.looks.emplace_back();
    look.us = now_;
    recording_.sites_interval_bytes = record->Number();
    const uint64_t count = record->Number();
    for (uint64_t i = 0; i < count && record->ok(); ++i) {
      const auto stack = stack_index_.find(record->Number());
      const auto task = TaskIndex(record->Number());
      const uint64_t bytes = record->Number();
      if (stack == stack_index_.end() || !record->ok()) continue;
      look.sites.push_back({stack->second, task, bytes});
      ++values_;
    }
  }

  void AddSymbol(PackedReader* record) {
    const uint64_t address = record->Number();
    Symbol symbol;
    symbol.function = Cut(record->Text());
    symbol.path = Cut(record->Text());
    symbol.module = symbol.path.substr(symbol.path.rfind('/') + 1);
    symbol.file = Cut(record->Text());
    symbol.line = static_cast<int>(std::min<uint64_t>(record->Number(), INT32_MAX));
    symbol.offset = record->Number();
    if (record->ok()) recording_.symbols.insert_or_assign(address, std::move(symbol));
  }

  Recording recording_;
  size_t values_ = 0;
  int64_t now_ = 0;
  bool has_started_ = false;
  size_t first_task_ = 0;  // of the program that runs now
  uint64_t next_stack_ = 0;
  std::map<uint64_t, size_t> stack_index_;
};

template <typename Read>
std::optional<Recording> Parse(Read read, std::string* error) {
  Reader reader;
  bool has_start = false;
  bool is_too_much = false;
  const ReadResult result = read([&](RecordType type, PackedReader record) {
    has_start = has_start || type == RecordType::kStart;
    if (!has_start) return true;
    is_too_much = !reader.Visit(type, record);
    return !is_too_much;
  });
  *error = result.error;
  if (!error->empty()) return std::nullopt;
  if (!has_start) {
    *error = result.damage.empty() ? "it is empty: no process was recorded" : result.damage;
    return std::nullopt;
  }
  Recording recording = reader.Take();
  recording.damage = is_too_much ? "there is more of it than can be shown" : result.damage;
  return recording;
}

}  // namespace

uint64_t ValueAt(const std::vector<RecordedValue>& values, int64_t us) {
  const auto after =
      std::upper_bound(values.begin(), values.end(), us,
                       [](int64_t time, const RecordedValue& value) { return time < value.us; });
  return after == values.begin() ? 0 : std::prev(after)->value;
}

uint64_t Recording::ChargedAt(int64_t us) const {
  uint64_t sum = 0;
  for (const RecordedTask& task : tasks) sum += ValueAt(task.charged, us);
  return sum;
}

int64_t Recording::PeakUs() const {
  struct Change {
    int64_t us;
    uint64_t by;  // modulo 2^64
  };
  std::vector<Change> changes;
  for (const RecordedTask& task : tasks) {
    uint64_t before = 0;
    for (const RecordedValue& value : task.charged) {
      changes.push_back({value.us, value.value - before});
      before = value.value;
    }
  }
  std::stable_sort(changes.begin(), changes.end(),
                   [](const Change& a, const Change& b) { return a.us < b.us; });
  uint64_t sum = 0;
  uint64_t most = 0;
  int64_t peak_us = 0;
  for (size_t i = 0; i < changes.size(); ++i) {
    sum += changes[i].by;
    const bool is_last = i + 1 == changes.size() || changes[i + 1].us != changes[i].us;
    if (is_last && sum > most) {
      most = sum;
      peak_us = changes[i].us;
    }
  }
  return peak_us;
}

std::optional<Recording> ReadRecording(const std::string& path, std::string* error) {
  return Parse([&](const RecordVisitor& visit) { return ReadRecords(path, visit); }, error);
}

std::optional<Recording> ParseRecording(std::string_view file, std::string* error) {
  return Parse([&](const RecordVisitor& visit) { return ReadRecordsOf(file, visit); }, error);
}

}  // namespace taskmem
