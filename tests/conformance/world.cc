#include "tests/conformance/world.h"

#include <utility>

#include "tests/conformance/text.h"

namespace taskmem::conformance {
namespace {

MemoryManagerOptions OptionsFor(const Trace& trace, const UnmanagedMemoryRegistry& registry,
                                MemoryLog& log) {
  const Json& cfg = trace.header.at("cfg");
  MemoryManagerOptions options;
  options.max_heap_bytes = cfg.value("max_heap", int64_t{0});
  options.on_heap_storage_region_bytes = cfg.value("storage_region", int64_t{0});
  options.max_off_heap_bytes = cfg.value("off_heap_size", int64_t{0});
  options.off_heap_storage_region_bytes = cfg.value("off_heap_storage", int64_t{0});
  options.tungsten_mode = ModeOf(cfg.at("tungsten_mode"));
  options.page_size_bytes = cfg.at("page_size").get<int64_t>();
  options.compatibility = Compatibility::kSpark;
  options.sharing = Sharing::kSpark;
  if (cfg.value("unmanaged_polling", false)) options.unmanaged = &registry.totals();
  options.log = &log;
  if (const MemoryError error = UnifiedMemoryManager::Validate(options)) {
    char text[256];
    Describe(error, text, sizeof(text));
    throw TraceError(std::string("impossible sizes: ") + text);
  }
  return options;
}

template <typename Map, typename Key>
auto& Find(Map& map, const Key& key, const char* what) {
  const auto found = map.find(key);
  if (found == map.end()) throw TraceError("no " + std::string(what) + " " + Json(key).dump());
  return found->second;
}

}  // namespace

Result<MemoryBlock> FailingAllocator::Allocate(int64_t bytes) {
  int64_t failures = failures_;
  while (failures > 0) {
    if (failures_.compare_exchange_weak(failures, failures - 1)) {
      return MemoryError(ErrorCode::kNoPhysicalMemory, bytes);
    }
  }
  return allocator_.Allocate(bytes);
}

TraceUnmanaged::TraceUnmanaged(const std::string& type, const std::string& key, MemoryMode mode,
                               int64_t the_value)
    : TraceUnmanaged(std::make_unique<const std::string>(type),
                     std::make_unique<const std::string>(key), mode, the_value) {}

TraceUnmanaged::TraceUnmanaged(std::unique_ptr<const std::string> type,
                               std::unique_ptr<const std::string> key, MemoryMode mode,
                               int64_t the_value)
    : UnmanagedMemoryConsumer(type->c_str(), key->c_str(), mode),
      value(the_value),
      type_(std::move(type)),
      key_(std::move(key)) {}

TraceTask::TraceTask(UnifiedMemoryManager& pools, int64_t task, MemoryAllocator& heap,
                     MemoryAllocator& unsafe)
    : cancellation(std::in_place),
      manager(pools, task, heap, unsafe, {.cancellation = &*cancellation}) {}

World::World(const Trace& trace)
    : has_off_heap(trace.header.at("cfg").value("off_heap_size", int64_t{0}) != 0),
      polls_unmanaged(trace.header.at("cfg").value("unmanaged_polling", false)),
      is_wild(trace.IsWild()),
      log_(!is_wild),
      registry(&log_),
      pools(OptionsFor(trace, registry, log_)),
      blocks(trace.header.at("cfg"), pools),
      threads([this] { return WaitingThreads(); }),
      evictor_(MakeEvictor(trace.header.at("cfg").at("evictor").get<std::string>(), pools,
                           blocks.store)) {
  pools.SetMemoryStore(evictor_.get());
}

World::~World() {
  for (const auto& unmanaged : all_unmanaged_) registry.Unregister(*unmanaged);
  // Pages the trace leaves behind.
  for (const auto& task : all_tasks_) task->manager.CleanUpAllAllocatedMemory();
  for (auto& [handle, page] : pages_) {
    if (page.manager == nullptr && !page.is_freed) {
      static_cast<void>(TungstenAllocator().Free(page.block));
    }
  }
  all_consumers_.clear();
}

// For memory and for blocks. A thread may go from the one to the other between two looks.
int World::WaitingThreads() const {
  for (;;) {
    const int for_memory = pools.WaitingThreads();
    const int for_blocks = blocks.infos.WaitingThreads();
    if (for_memory == pools.WaitingThreads()) return for_memory + for_blocks;
  }
}

void World::Cancel(Cancellation& cancellation) {
  pools.Cancel(cancellation);
  blocks.infos.Cancel(cancellation);
}

void World::AddTask(int64_t task) {
  const std::lock_guard lock(mutex_);
  all_tasks_.push_back(std::make_unique<TraceTask>(pools, task, heap_, unsafe_));
  tasks_[task] = all_tasks_.back().get();
}

void World::AddConsumer(int64_t task, MemoryMode mode, const std::string& name,
                        int64_t page_size_bytes, Behaviour behaviour) {
  TraceTask& owner = Task(task);
  const std::lock_guard lock(mutex_);
  all_consumers_.push_back(std::make_unique<TraceConsumer>(owner.manager, mode, name,
                                                           page_size_bytes, behaviour, threads));
  consumers_[name] = all_consumers_.back().get();
}

TracePage& World::AddPage(int64_t handle, const MemoryBlock& block,
                          const TaskMemoryManager* manager) {
  const std::lock_guard lock(mutex_);
  const auto [page, is_new] = pages_.try_emplace(handle, TracePage{block, manager, false});
  if (!is_new) throw TraceError("page " + std::to_string(handle) + " exists");
  return page->second;
}

void World::AddUnmanaged(const std::string& handle, std::unique_ptr<TraceUnmanaged> unmanaged) {
  const std::lock_guard lock(mutex_);
  all_unmanaged_.push_back(std::move(unmanaged));
  unmanaged_[handle] = all_unmanaged_.back().get();
}

TraceTask& World::Task(int64_t task) {
  const std::lock_guard lock(mutex_);
  return *Find(tasks_, task, "task memory manager");
}

TraceTask& World::TaskOf(const TraceConsumer& consumer) {
  const std::lock_guard lock(mutex_);
  for (const auto& task : all_tasks_) {
    if (&task->manager == &consumer.manager()) return *task;
  }
  throw TraceError("no task memory manager of that consumer");
}

TraceConsumer& World::Consumer(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return *Find(consumers_, name, "consumer");
}

TracePage& World::Page(int64_t handle) {
  const std::lock_guard lock(mutex_);
  return Find(pages_, handle, "page");
}

TraceUnmanaged& World::Unmanaged(const std::string& handle) {
  const std::lock_guard lock(mutex_);
  return *Find(unmanaged_, handle, "unmanaged consumer");
}

std::optional<int64_t> World::FindPage(const TaskMemoryManager& manager, int number) {
  const std::lock_guard lock(mutex_);
  for (const auto& [handle, page] : pages_) {
    if (page.manager == &manager && !page.is_freed && page.block.page_number == number) {
      return handle;
    }
  }
  return std::nullopt;
}

std::optional<int64_t> World::FindPage(const char* base) {
  const std::lock_guard lock(mutex_);
  for (const auto& [handle, page] : pages_) {
    if (!page.is_freed && page.block.base == base) return handle;
  }
  return std::nullopt;
}

void World::MarkPagesFreed(const TaskMemoryManager& manager) {
  const std::lock_guard lock(mutex_);
  for (auto& [handle, page] : pages_) {
    if (page.manager == &manager) page.is_freed = true;
  }
}

void World::EndTask(int64_t task) {
  const std::lock_guard lock(mutex_);
  if (const auto ended = tasks_.find(task); ended != tasks_.end()) ended->second->has_ended = true;
}

void World::GiveUpTask(int64_t task) {
  const std::lock_guard lock(mutex_);
  const auto given_up = tasks_.find(task);
  if (given_up != tasks_.end() && given_up->second->has_ended) given_up_.insert(task);
}

void World::ForgetGivenUpTasks() {
  const std::lock_guard lock(mutex_);
  for (const int64_t task : given_up_) {
    const TaskMemoryManager* const manager = &tasks_.at(task)->manager;
    std::erase_if(consumers_, [&](const auto& each) { return &each.second->manager() == manager; });
    tasks_.erase(task);
  }
  given_up_.clear();
}

}  // namespace taskmem::conformance
