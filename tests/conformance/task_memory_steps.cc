// Operations of TaskMemoryManager, of consumers and of allocators.
#include <string>
#include <utility>

#include "tests/conformance/steps.h"
#include "tests/conformance/text.h"

namespace taskmem::conformance {
namespace {

int64_t Bytes(const Json& in) { return in.value("bytes", int64_t{0}); }
int64_t TaskId(const Json& in) { return in.value("task", int64_t{0}); }
int64_t PageHandle(const Json& in) { return in.value("page", int64_t{0}); }

TraceConsumer& Consumer(World& world, const Json& in) {
  return world.Consumer(in.at("consumer").get<std::string>());
}

// Lets the step be interrupted where its calls wait in the task memory manager of `consumer`.
void MakeInterruptible(World& world, StepRun& run, const TraceConsumer& consumer) {
  TraceTask& task = world.TaskOf(consumer);
  // It has served an earlier step.
  if (task.cancellation->is_cancelled()) task.cancellation.emplace();
  run.cancellation = &*task.cancellation;
}

Outcome TmmNew(World& world, StepRun&, const Json& in) {
  world.AddTask(TaskId(in));
  return {};
}

Outcome ConsumerNew(World& world, StepRun&, const Json& in) {
  world.AddConsumer(TaskId(in), ModeOf(in.at("mode")), in.at("consumer").get<std::string>(),
                    in.value("page_size", int64_t{0}),
                    BehaviourOf(in.at("behaviour").get<std::string>()));
  return {};
}

Outcome SetBehaviour(World& world, StepRun&, const Json& in) {
  Consumer(world, in).SetBehaviour(BehaviourOf(in.at("behaviour").get<std::string>()));
  return {};
}

Outcome ConsumerAcquire(World& world, StepRun& run, const Json& in) {
  TraceConsumer& consumer = Consumer(world, in);
  MakeInterruptible(world, run, consumer);
  return AnswerOrFailure(consumer.AcquireMemory(Bytes(in)), Caller::kTaskMemory);
}

Outcome ConsumerFree(World& world, StepRun&, const Json& in) {
  Consumer(world, in).FreeMemory(Bytes(in));
  return {};
}

Outcome ConsumerSpill(World& world, StepRun&, const Json& in) {
  const Result<int64_t> freed = Consumer(world, in).SpillAll();
  return freed.ok() ? Outcome() : Failure(freed.error(), Caller::kSpill);
}

Outcome TmmAcquire(World& world, StepRun& run, const Json& in) {
  TraceConsumer& consumer = Consumer(world, in);
  MakeInterruptible(world, run, consumer);
  return AnswerOrFailure(consumer.manager().AcquireExecutionMemory(Bytes(in), &consumer),
                         Caller::kTaskMemory);
}

Outcome TmmRelease(World& world, StepRun&, const Json& in) {
  TraceConsumer& consumer = Consumer(world, in);
  consumer.manager().ReleaseExecutionMemory(Bytes(in), &consumer);
  return {};
}

Json NumberAndSize(const MemoryBlock& block) {
  return {{"number", block.page_number}, {"size", block.size}};
}

// Files the page under its handle. `owner`: who frees it when it spills; may be null.
Outcome NewPage(World& world, const Json& in, const Result<MemoryBlock>& block,
                const TaskMemoryManager* manager, TraceConsumer* owner) {
  if (!block.ok()) {
    return Failure(block.error(), manager != nullptr ? Caller::kTaskMemory : Caller::kAllocator);
  }
  if (!*block) return {};
  TracePage& page = world.AddPage(PageHandle(in), *block, manager);
  if (owner != nullptr) owner->Own(page);
  return Answer(NumberAndSize(page.block));
}

Outcome ConsumerAllocatePage(World& world, StepRun& run, const Json& in) {
  TraceConsumer& consumer = Consumer(world, in);
  MakeInterruptible(world, run, consumer);
  return NewPage(world, in, consumer.AllocatePage(Bytes(in)), &consumer.manager(), &consumer);
}

Outcome ConsumerAllocateArray(World& world, StepRun& run, const Json& in) {
  TraceConsumer& consumer = Consumer(world, in);
  MakeInterruptible(world, run, consumer);
  return NewPage(world, in, consumer.AllocateArray(Bytes(in)), &consumer.manager(), &consumer);
}

Outcome TmmAllocatePage(World& world, StepRun& run, const Json& in) {
  TraceConsumer& consumer = Consumer(world, in);
  MakeInterruptible(world, run, consumer);
  return NewPage(world, in, consumer.manager().AllocatePage(Bytes(in), &consumer),
                 &consumer.manager(), nullptr);
}

Outcome TmmFillPages(World& world, StepRun& run, const Json& in) {
  TraceConsumer& consumer = Consumer(world, in);
  MakeInterruptible(world, run, consumer);
  int64_t pages = 0;
  for (int64_t i = 0; i < in.at("count").get<int64_t>(); ++i) {
    const Result<MemoryBlock> page = consumer.manager().AllocatePage(Bytes(in), &consumer);
    if (!page.ok()) return Failure(page.error(), Caller::kTaskMemory);
    if (*page) ++pages;
  }
  return Answer(pages);
}

Outcome AllocatorAllocate(World& world, StepRun&, const Json& in) {
  return NewPage(world, in, world.TungstenAllocator().Allocate(Bytes(in)), nullptr, nullptr);
}

Outcome Freed(TracePage& page, const MemoryError& error, Caller caller) {
  if (error) return Failure(error, caller);
  page.is_freed = true;
  return Answer({{"number", page.block.page_number}});
}

Outcome ConsumerFreePage(World& world, StepRun&, const Json& in) {
  TracePage& page = world.Page(PageHandle(in));
  return Freed(page, Consumer(world, in).Free(page), Caller::kTaskMemory);
}

Outcome TmmFreePage(World& world, StepRun&, const Json& in) {
  TracePage& page = world.Page(PageHandle(in));
  TraceConsumer& consumer = Consumer(world, in);
  return Freed(page, consumer.manager().FreePage(page.block, &consumer), Caller::kTaskMemory);
}

Outcome AllocatorFree(World& world, StepRun&, const Json& in) {
  TracePage& page = world.Page(PageHandle(in));
  return Freed(page, world.TungstenAllocator().Free(page.block), Caller::kAllocator);
}

Outcome FailAllocations(World& world, StepRun&, const Json& in) {
  world.failing_allocations = in.value("count", int64_t{0});
  return {};
}

// Off-heap, offsets of traces are relative to the page, those of the library absolute.
uint64_t OffsetBase(const World& world, const MemoryBlock& page) {
  return world.pools.tungsten_memory_mode() == MemoryMode::kOffHeap
             ? reinterpret_cast<uint64_t>(page.base)
             : 0;
}

Outcome Encode(World& world, StepRun&, const Json& in) {
  const MemoryBlock& page = world.Page(PageHandle(in)).block;
  const auto offset = static_cast<uint64_t>(in.value("offset", int64_t{0}));
  const Result<uint64_t> address =
      world.Task(TaskId(in))
          .manager.EncodePageNumberAndOffset(page, OffsetBase(world, page) + offset);
  return address.ok() ? Answer(static_cast<int64_t>(*address))
                      : Failure(address.error(), Caller::kTaskMemory);
}

Outcome Decode(World& world, StepRun&, const Json& in) {
  const TaskMemoryManager& manager = world.Task(TaskId(in)).manager;
  const auto address = static_cast<uint64_t>(in.value("address", int64_t{0}));
  const int number = DecodePageNumber(address);
  const Result<char*> object = manager.GetPage(address);
  if (!object.ok()) return Failure(object.error(), Caller::kDecode);
  const Result<uint64_t> offset = manager.GetOffsetInPage(address);
  if (!offset.ok()) return Failure(offset.error(), Caller::kDecode);

  Json object_name;
  if (*object != nullptr) {
    const auto handle = world.FindPage(*object);
    object_name = handle ? "page " + std::to_string(*handle) : "a page without handle";
  }
  const auto page = world.FindPage(manager, number);
  const uint64_t base = page ? OffsetBase(world, world.Page(*page).block) : 0;
  return Answer({{"number", number},
                 {"offset", static_cast<int64_t>(*offset - base)},
                 {"object", object_name}});
}

Outcome CleanUp(World& world, StepRun&, const Json& in) {
  TaskMemoryManager& manager = world.Task(TaskId(in)).manager;
  const int64_t leaked = manager.CleanUpAllAllocatedMemory();
  world.MarkPagesFreed(manager);
  world.GiveUpTask(manager.task());
  return Answer(leaked);
}

Outcome ShowMemoryUsage(World& world, StepRun&, const Json& in) {
  world.Task(TaskId(in)).manager.ShowMemoryUsage();
  return {};
}

Outcome TaskConsumption(World& world, StepRun&, const Json& in) {
  return Answer(world.Task(TaskId(in)).manager.GetMemoryConsumptionForThisTask());
}

}  // namespace

const Operations& TaskMemoryOperations() {
  static const Operations kOperations = {
      {"allocator_allocate", AllocatorAllocate},
      {"allocator_free", AllocatorFree},
      {"cleanup", CleanUp},
      {"consumer_acquire", ConsumerAcquire},
      {"consumer_allocate_array", ConsumerAllocateArray},
      {"consumer_allocate_page", ConsumerAllocatePage},
      {"consumer_free", ConsumerFree},
      {"consumer_free_page", ConsumerFreePage},
      {"consumer_new", ConsumerNew},
      {"consumer_spill", ConsumerSpill},
      {"decode", Decode},
      {"encode", Encode},
      {"fail_allocations", FailAllocations},
      {"set_behaviour", SetBehaviour},
      {"show_memory_usage", ShowMemoryUsage},
      {"task_consumption", TaskConsumption},
      {"tmm_acquire", TmmAcquire},
      {"tmm_allocate_page", TmmAllocatePage},
      {"tmm_fill_pages", TmmFillPages},
      {"tmm_free_page", TmmFreePage},
      {"tmm_new", TmmNew},
      {"tmm_release", TmmRelease},
  };
  return kOperations;
}

}  // namespace taskmem::conformance
