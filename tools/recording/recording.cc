#include "tools/recording/recording.h"

#include <algorithm>

#include "tools/recording/frame_reader.h"
#include "tools/sites/symboliser.h"

namespace taskmem {
namespace {

constexpr size_t kMostText = 4096;
constexpr int64_t kMostUs = int64_t{1} << 52;

// Beside what a recording takes itself, what those who show it make of one part at a time: a task
// of an audit, an entry of what lives, a step of a simulation, what sorting takes.
constexpr size_t kBytesToShowATask = 512;
constexpr size_t kBytesToShowASite = 64;
constexpr size_t kBytesToReplayACharge = 48;
constexpr size_t kBytesToSortAnEvent = sizeof(RecordedEvent) / 2;

uint64_t MinusOne(uint64_t value) { return value - 1; }  // 0 becomes UINT64_MAX, none

class Reader {
 public:
  // False: there is too much of it.
  bool Visit(RecordType type, PackedReader record) {
    // Its time, for what takes no memory.
    Spend(1);
    if (type == RecordType::kStart) Start(&record);
    if (has_started_) Read(type, record);
    // One that grows is there twice for a moment.
    return spent_ + largest_bytes_ <= kMostRecordingBytes;
  }

  bool has_started() const { return has_started_; }

  Recording Take() {
    recording_.end_us = now_;
    std::stable_sort(recording_.events.begin(), recording_.events.end(),
                     [](const RecordedEvent& a, const RecordedEvent& b) { return a.us < b.us; });
    std::vector<const RecordedTask*> tasks;
    for (const RecordedTask& task : recording_.tasks) tasks.push_back(&task);
    recording_.total = TotalOf(tasks);
    const auto peak = std::max_element(
        recording_.total.begin(), recording_.total.end(),
        [](const RecordedValue& a, const RecordedValue& b) { return a.value < b.value; });
    if (peak != recording_.total.end() && peak->value != 0) recording_.peak_us = peak->us;
    return std::move(recording_);
  }

 private:
  void Read(RecordType type, PackedReader record) {
    switch (type) {
      case RecordType::kStart: break;
      case RecordType::kSetting: {
        const std::string name = Text(&record);
        recording_.settings.insert_or_assign(name, Text(&record));
        Spend(kNodeBytes + 2 * sizeof(std::string));
        break;
      }
      case RecordType::kTime:
        now_ = std::min(now_ + static_cast<int64_t>(std::min<uint64_t>(record.Number(), kMostUs)),
                        kMostUs);
        Add(&recording_.times) = now_;
        break;
      case RecordType::kTask: AddTask(&record); break;
      case RecordType::kTaskChange: ChangeTask(&record); break;
      case RecordType::kCharge: Charge(&record); break;
      case RecordType::kCounters: Count(&record); break;
      case RecordType::kTaskEnd: EndTask(&record); break;
      case RecordType::kTaskGone:
        if (RecordedTask* const task = Task(record.Number())) {
          task->gone_us = now_;
          PutCharged(task, now_, 0);
        }
        break;
      case RecordType::kEvent: AddEvent(&record); break;
      case RecordType::kPools: AddPools(&record); break;
      case RecordType::kProcess: {
        auto& process = Add(&recording_.process);
        process = {now_, record.Number(), record.Number()};
        break;
      }
      case RecordType::kClasses: {
        auto& classes = Add(&recording_.classes);
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
      case RecordType::kMappings: SetMapped(&record); break;
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
  }

  void Spend(size_t bytes) { spent_ += bytes; }
  template <typename T>
  T& Add(std::vector<T>* values) {
    if (values->size() == values->capacity()) {
      const size_t before = values->capacity();
      if (before == 0) Spend(kHeapBytes);
      values->reserve(std::max<size_t>(2 * before, 1));
      Spend((values->capacity() - before) * sizeof(T));
      largest_bytes_ = std::max(largest_bytes_, values->capacity() * sizeof(T));
    }
    return values->emplace_back();
  }
  std::string Text(PackedReader* record) {
    std::string text(record->Text().substr(0, kMostText));
    Spend(text.capacity());
    return text;
  }

  // Another program of the process goes on in the same picture: its tasks are others.
  void Start(PackedReader* record) {
    const uint64_t unix_ns = record->Number();
    const uint64_t monotonic_ns = record->Number();
    if (has_started_) {
      // Since the last record of the program before.
      const uint64_t us = (monotonic_ns - recording_.monotonic_ns) / 1000;
      if (us <= static_cast<uint64_t>(kMostUs)) now_ = std::max(now_, static_cast<int64_t>(us));
      ++recording_.executions;
      recording_.settings.clear();
      recording_.modules.clear();
    } else {
      recording_.unix_ns = unix_ns;
      recording_.monotonic_ns = monotonic_ns;
    }
    has_started_ = true;
    first_task_ = recording_.tasks.size();
    recording_.end = EndReason::kUnknown;
    recording_.pid = record->Number();
    record->Number();
    recording_.program = Text(record);
    recording_.title = Text(record);
    record->Number();  // the interval of looks
    recording_.version = Text(record);
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

  // Of what had happened by now.
  int64_t TimeOf(PackedReader* record) {
    const int64_t relative = std::clamp<int64_t>(record->Signed(), -kMostUs, 0);
    return std::max<int64_t>(now_ + relative, 0);
  }

  // These keep the order.
  void Put(std::vector<RecordedValue>* values, int64_t us, uint64_t value) {
    if (!values->empty()) us = std::max(us, values->back().us);
    Add(values) = {us, value};
  }
  void PutCharged(RecordedTask* task, int64_t us, uint64_t value) {
    if ((task->charged.empty() ? 0 : task->charged.back().value) == value) return;
    Put(&task->charged, us, value);
    Spend(sizeof(RecordedValue) + kBytesToReplayACharge);  // of the total
    task->peak_bytes = std::max(task->peak_bytes, value);
  }
  void PutCounter(RecordedTask* task, int64_t us, Counter counter, uint64_t value) {
    if (!task->changes.empty()) us = std::max(us, task->changes.back().us);
    uint64_t& counted = task->counters[static_cast<size_t>(counter)];
    Add(&task->changes) = {us, counter, value, counted};
    counted = value;
    if (counter == Counter::kPeak) task->peak_bytes = std::max(task->peak_bytes, value);
  }

  void AddTask(PackedReader* record) {
    const uint64_t number = record->Number();
    if (number != recording_.tasks.size() - first_task_) return;  // each is told of once
    RecordedTask& task = Add(&recording_.tasks);
    Spend(kBytesToShowATask);
    task.slot = static_cast<uint32_t>(record->Number());
    const uint64_t id = MinusOne(record->Number());
    task.name = Text(record);
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
    task->name = Text(record);
    if (task->quota.back().value != quota) Put(&task->quota, now_, quota);
  }

  void Charge(PackedReader* record) {
    RecordedTask* const task = Task(record->Number());
    const auto change = static_cast<uint64_t>(record->Signed());
    if (task == nullptr) return;
    const uint64_t before = task->charged.empty() ? 0 : task->charged.back().value;
    PutCharged(task, now_, before + change);
  }

  void Count(PackedReader* record) {
    RecordedTask* const task = Task(record->Number());
    const uint64_t count = record->Number();
    for (uint64_t i = 0; i < count && record->ok(); ++i) {
      const uint64_t index = record->Number();
      const auto change = static_cast<uint64_t>(record->Signed());
      if (task == nullptr || index >= kCounters) continue;
      PutCounter(task, now_, static_cast<Counter>(index), task->counters[index] + change);
    }
  }

  void EndTask(PackedReader* record) {
    RecordedTask* const task = Task(record->Number());
    if (task == nullptr) return;
    task->end_us = TimeOf(record);
    const uint64_t peak = record->Number();
    const uint64_t held = record->Number();
    if (peak > task->Get(Counter::kPeak)) PutCounter(task, *task->end_us, Counter::kPeak, peak);
    PutCharged(task, *task->end_us, held);
  }

  void AddEvent(PackedReader* record) {
    const uint64_t kind = record->Number();
    if (kind == 0 || kind > kEventKinds) return;
    RecordedEvent& event = Add(&recording_.events);
    Spend(kBytesToSortAnEvent);
    event.kind = static_cast<EventKind>(kind);
    event.task = TaskIndex(record->Number());
    event.us = TimeOf(record);
    event.flags = static_cast<uint32_t>(record->Number());
    event.bytes = record->Number();
    event.held = record->Number();
    event.limit = MinusOne(record->Number());
  }

  void AddPools(PackedReader* record) {
    RecordedPools& pools = Add(&recording_.pools);
    pools.us = now_;
    const uint64_t memory = MinusOne(record->Number());
    if (memory != 0 && memory != UINT64_MAX) pools.memory_bytes = memory;
    record->Number();  // size of the execution pool
    pools.execution_used = record->Number();
    record->Number();  // and of the storage pool
    pools.storage_used = record->Number();
    pools.overdrawn = record->Number();
    pools.active_tasks = record->Number();
    record->Number();  // untouched
    pools.slack = record->Number();
  }

  void SetModules(PackedReader* record) {
    recording_.modules.clear();
    const uint64_t count = record->Number();
    for (uint64_t i = 0; i < count && record->ok(); ++i) {
      Module module;
      module.start = record->Number();
      module.end = module.start + record->Number();
      module.path = Text(record);
      if (!record->ok() || module.end < module.start) continue;
      Add(&recording_.modules) = std::move(module);
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
    Spend(kNodeBytes);
    RecordedStack& stack = Add(&recording_.stacks);
    stack.program = recording_.executions;
    stack.flags = static_cast<uint32_t>(record->Number());
    const uint64_t count = std::min(record->Number(), kMostFrames);
    uint64_t last = 0;
    for (uint64_t i = 0; i < count && record->ok(); ++i) {
      last += static_cast<uint64_t>(record->Signed());
      Add(&stack.frames) = last;
    }
  }

  void AddLook(PackedReader* record) {
    RecordedLook& look = Add(&recording_.looks);
    look.us = now_;
    recording_.sites_interval_bytes = record->Number();
    const uint64_t count = record->Number();
    for (uint64_t i = 0; i < count && record->ok(); ++i) {
      const auto stack = stack_index_.find(record->Number());
      const auto task = TaskIndex(record->Number());
      const uint64_t bytes = record->Number();
      if (stack == stack_index_.end() || !record->ok()) continue;
      Add(&look.sites) = {stack->second, task, bytes};
      Spend(kBytesToShowASite);
    }
  }

  void SetMapped(PackedReader* record) {
    const uint64_t count = record->Number();
    for (uint64_t i = 0; i < count && record->ok(); ++i) {
      RecordedTask* const task = Task(record->Number());
      const uint64_t bytes = record->Number();
      if (task != nullptr && record->ok()) Put(&task->mapped, now_, bytes);
    }
  }

  void AddSymbol(PackedReader* record) {
    const auto line = [record] {
      return static_cast<int>(std::min<uint64_t>(record->Number(), INT32_MAX));
    };
    const uint64_t address = record->Number();
    Symbol symbol;
    symbol.function = Text(record);
    symbol.path = Text(record);
    symbol.module = symbol.path.substr(symbol.path.rfind('/') + 1);
    symbol.file = Text(record);
    symbol.line = line();
    symbol.offset = record->Number();
    if (!record->ok()) return;
    std::vector<Symbol> chain;
    const uint64_t inlined = record->IsAtEnd() ? 0 : record->Number();
    for (uint64_t i = 0; i < inlined && record->ok(); ++i) {
      Symbol function = symbol;
      function.is_inlined = true;
      function.function = Text(record);
      function.file = Text(record);
      function.line = line();
      // More than writers write: the outermost are left out.
      if (chain.size() == kMostInlined) continue;
      Spend(symbol.module.capacity() + symbol.path.capacity());
      Add(&chain) = std::move(function);
    }
    if (!record->ok()) chain.clear();
    Spend(kNodeBytes + symbol.module.capacity());
    Add(&chain) = std::move(symbol);
    recording_.symbols.insert_or_assign({recording_.executions, address}, std::move(chain));
  }

  static constexpr size_t kNodeBytes = 64;  // of a map, and what the heap adds
  static constexpr size_t kHeapBytes = 32;  // that the heap adds to a block, and its least one

  Recording recording_;
  uint64_t spent_ = 0;
  uint64_t largest_bytes_ = 0;  // of one list
  int64_t now_ = 0;
  bool has_started_ = false;
  size_t first_task_ = 0;  // of the program that runs now
  uint64_t next_stack_ = 0;
  std::map<uint64_t, size_t> stack_index_;
};

template <typename Read>
std::optional<Recording> Parse(Read read, std::string* error) {
  Reader reader;
  bool is_too_much = false;
  const ReadResult result = read([&](RecordType type, PackedReader record) {
    is_too_much = !reader.Visit(type, record);
    return !is_too_much;
  });
  *error = result.error;
  if (!error->empty()) return std::nullopt;
  if (!reader.has_started()) {
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

std::vector<RecordedValue> TotalOf(const std::vector<const RecordedTask*>& tasks) {
  size_t values = 0;
  for (const RecordedTask* task : tasks) values += task->charged.size();
  // First by how much they changed, modulo 2^64, then the sums, in the same place.
  std::vector<RecordedValue> total;
  total.reserve(values);
  for (const RecordedTask* task : tasks) {
    uint64_t before = 0;
    for (const RecordedValue& value : task->charged) {
      total.push_back({value.us, value.value - before});
      before = value.value;
    }
  }
  std::sort(total.begin(), total.end(),
            [](const RecordedValue& a, const RecordedValue& b) { return a.us < b.us; });
  size_t moments = 0;
  uint64_t sum = 0;
  for (const RecordedValue& change : total) {
    sum += change.value;
    if (moments == 0 || total[moments - 1].us != change.us) ++moments;
    total[moments - 1] = {change.us, sum};
  }
  total.resize(moments);
  return total;
}

std::optional<Recording> ReadRecording(const std::string& path, std::string* error) {
  return Parse([&](const RecordVisitor& visit) { return ReadRecords(path, visit); }, error);
}

std::optional<Recording> ParseRecording(std::string_view file, std::string* error) {
  return Parse([&](const RecordVisitor& visit) { return ReadRecordsOf(file, visit); }, error);
}

}  // namespace taskmem
