// DuckDB: a query is an Executor, which Executor::InitializeInternal sets up on the thread that
// runs the query; the threads of the pool do its ExecutorTasks, by ExecutorTask::Execute.
//
// The library calls the first through its import table and the second through tables of virtual
// functions that are relocated by symbol, so that both words can be changed. Whose an ExecutorTask
// is says its Executor, a reference that is found among its first words: at the same place in
// all of them, which is learned and not built in.
#include <atomic>
#include <cstring>

#include "shim/base/loaded_symbols.h"
#include "shim/code/word_patch.h"
#include "shim/engines/adapter.h"
#include "shim/heap/heap.h"
#include "shim/tasks/pool_threads.h"

namespace taskmem {
namespace {

constexpr char kInitialize[] = "_ZN6duckdb8Executor18InitializeInternalERNS_16PhysicalOperatorE";
constexpr char kExecute[] = "_ZN6duckdb12ExecutorTask7ExecuteENS_17TaskExecutionModeE";

using Initialize = void (*)(void* executor, void* plan);
using Execute = unsigned long (*)(void* task, unsigned long mode);
Initialize g_initialize = nullptr;
Execute g_execute = nullptr;

// Executors and their tasks: an entry is found by its address; one that comes to the place of
// another takes it, and the other is not known any more.
struct KnownExecutor {
  std::atomic<uint64_t> executor_and_slot;  // the address, 48 bits, and the task's slot
  std::atomic<uint64_t> id;
  std::atomic<uint32_t> generation;
};
constexpr int kAddressBits = 48;
constexpr size_t kKnown = 4096;
constinit KnownExecutor g_known[kKnown] = {};

KnownExecutor& PlaceOf(uint64_t executor) {
  constexpr int kShift = 52;
  return g_known[(executor >> 4) * 0x9e3779b97f4a7c15u >> kShift];
}

uint64_t Packed(uint64_t executor, uint32_t slot) { return executor << 16 | slot; }

void Note(void* executor, const CurrentTask& task) {
  const auto address = reinterpret_cast<uint64_t>(executor);
  KnownExecutor& known = PlaceOf(address);
  known.executor_and_slot.store(0, std::memory_order_release);
  if (!HasWork(task)) return;
  known.id.store(task.id, std::memory_order_relaxed);
  known.generation.store(task.generation, std::memory_order_relaxed);
  known.executor_and_slot.store(Packed(address, task.slot), std::memory_order_release);
}

bool Find(uint64_t executor, CurrentTask* task) {
  if (executor == 0 || executor >> kAddressBits != 0) return false;
  const KnownExecutor& known = PlaceOf(executor);
  const uint64_t packed = known.executor_and_slot.load(std::memory_order_acquire);
  const auto slot = static_cast<uint32_t>(packed & 0xffff);
  if (packed != Packed(executor, slot)) return false;
  *task = {known.id.load(std::memory_order_relaxed), slot,
           known.generation.load(std::memory_order_relaxed)};
  return known.executor_and_slot.load(std::memory_order_acquire) == packed;
}

// The word of an ExecutorTask that is its Executor's address; 0: not known yet.
std::atomic<size_t> g_word{0};

// False: it belongs to no query that is known.
bool TaskOf(const void* executor_task, CurrentTask* task) {
  const auto* const words = static_cast<const uint64_t*>(executor_task);
  const size_t learned = g_word.load(std::memory_order_relaxed);
  if (learned != 0) return Find(words[learned], task);
  // Its first words are its own table and what finds it by itself.
  constexpr size_t kFirstWord = 3;
  constexpr size_t kLastWord = 12;
  const size_t count = TaskmemUsableSize(const_cast<void*>(executor_task)) / sizeof(uint64_t);
  for (size_t i = kFirstWord; i < count && i < kLastWord; ++i) {
    if (!Find(words[i], task)) continue;
    g_word.store(i, std::memory_order_relaxed);
    return true;
  }
  return false;
}

void InitializeForTask(void* executor, void* plan) {
  Note(executor, TaskOfWork());
  g_initialize(executor, plan);
}

unsigned long ExecuteForTask(void* executor_task, unsigned long mode) {
  CurrentTask task;
  if (!IsPoolThread() || !TaskOf(executor_task, &task)) return g_execute(executor_task, mode);
  const CurrentTask before = EnterWork(task);
  const unsigned long result = g_execute(executor_task, mode);
  LeaveWork(before);
  return result;
}

bool IsFor(const char* base) {
  return strncmp(base, "_duckdb", 7) == 0 || strncmp(base, "duckdb.", 7) == 0 ||
         strncmp(base, "libduckdb", 9) == 0;
}

const char* Attach(const link_map& library, WordChange* mark) {
  const LoadedSymbols symbols = LoadedSymbols::Around(library.l_ld);
  auto* const initialize = symbols.Find(kInitialize).code;
  auto* const execute = symbols.Find(kExecute).code;
  if (initialize == nullptr || execute == nullptr) return "it has not the functions expected";
  constexpr size_t kMostPlaces = 64;
  void** places[2 * kMostPlaces];
  const size_t initializes = FindReferences(library, kInitialize, places, kMostPlaces);
  const size_t executes = FindReferences(library, kExecute, places + initializes, kMostPlaces);
  if (initializes == 0 || executes == 0 || initializes == kMostPlaces || executes == kMostPlaces) {
    return "it does not call them as expected";
  }
  WordChange changes[2 * kMostPlaces];
  const size_t count = initializes + executes;
  for (size_t i = 0; i < count; ++i) {
    // An import that has not been called yet leads to the loader.
    if (i >= initializes && *places[i] != execute) return "somebody else stands between";
    changes[i] = {places[i], i < initializes ? reinterpret_cast<void*>(InitializeForTask)
                                             : reinterpret_cast<void*>(ExecuteForTask)};
  }
  g_initialize = reinterpret_cast<Initialize>(initialize);
  g_execute = reinterpret_cast<Execute>(execute);
  g_word.store(0, std::memory_order_relaxed);
  *mark = changes[count - 1];
  return WriteWords(changes, count) ? nullptr : "its tables cannot be written to";
}

}  // namespace

const EngineAdapter kDuckDbAdapter = {"DuckDB", IsFor, Attach};

}  // namespace taskmem
