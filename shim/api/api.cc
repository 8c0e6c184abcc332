// The C API (taskmem.h): checks its arguments and forwards.
#define TASKMEM_IMPLEMENTATION
#include "accounting/base/errno_keeper.h"
#include "accounting/tasks/page_table.h"
#include "shim/api/usage.h"
#include "shim/base/version.h"
#include "shim/books/after_fork.h"
#include "shim/books/pools.h"
#include "shim/books/task_registry.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mapping_book/callers.h"
#include "shim/mapping_book/mapping_queries.h"
#include "shim/mapping_book/mappings_table.h"
#include "shim/mapping_book/residency_look.h"
#include "shim/published/stats_segment.h"
#include "shim/spilling/block_pins.h"
#include "shim/taskmem.h"
#include "shim/tasks/pool_threads.h"
#include "shim/tasks/task_pages.h"
#include "shim/tasks/thread_tasks.h"

using namespace taskmem;

namespace {

static_assert(TASKMEM_NO_QUOTA == kNoQuota);
static_assert(TASKMEM_UNTRACKED == kUntrackedTask.id);
static_assert(TASKMEM_STORAGE == kStorageId);
static_assert(TASKMEM_SHARED == kSharedId);

uint64_t IdOfSlot(uint32_t slot) {
  return slot >= kFirstTaskSlot ? g_books[slot].task_id.load()
         : slot == kStorageSlot ? TASKMEM_STORAGE
         : slot == kSharedSlot  ? TASKMEM_SHARED
                                : TASKMEM_UNTRACKED;
}

// Finds a live task and what tells it apart from a later one in its slot.
bool FindLive(uint64_t id, CurrentTask* task) {
  EnsureSettledBooks();
  if (g_stats != nullptr && HasRequest()) AnswerRequest();
  const uint32_t slot = FindTask(id);
  if (slot == kUntrackedSlot) return false;
  *task = TaskInSlot(id, slot);
  const TaskBook& book = g_books[slot];
  return book.task_id.load() == id && book.state.load() == TaskState::kLive;
}

}  // namespace

extern "C" {

int taskmem_task_begin(uint64_t id, const taskmem_options* options) {
  if (id >= kSharedId) return EINVAL;  // they stand for something else
  if (options != nullptr && options->size < sizeof(taskmem_options)) return EINVAL;
  EnterHeap(nullptr);
  if (g_stats == nullptr) return ENOMEM;
  ListBooks();
  if (HasRequest()) AnswerRequest();
  const uint64_t quota =
      options != nullptr && options->quota_bytes != 0 ? options->quota_bytes : DefaultQuota();
  uint32_t slot = 0;
  const int error =
      BeginTask(id, quota, options != nullptr ? options->name : nullptr, false, &slot);
  if (error == 0) NoteTasksChanged();
  return error;
}

int taskmem_task_end(uint64_t id, taskmem_usage* usage) {
  CurrentTask task;
  if (usage != nullptr && FindLive(id, &task)) ReadUsage(task.slot, usage);
  EnsureSettledBooks();
  uint32_t slot = 0;
  if (const int error = EndTask(id, &slot)) return error;
  PokeThreadsOf(slot);
  NoteTasksChanged();
  EndTaskInBlocks(slot);
  AbsorbEnded(id, slot);
  ReturnIdleToPools(slot);
  // What is left now; unless, where slots are short, the slot is another's already.
  const TaskBook& book = g_books[slot];
  if (usage != nullptr && book.task_id.load() == id && book.state.load() == TaskState::kEnded) {
    ReadUsage(slot, usage);
  }
  return 0;
}

int taskmem_thread_attach(uint64_t id, uint64_t* previous) {
  const uint64_t before = previous != nullptr ? GetCurrentTask().id : 0;
  if (id == kSpillReserveId || id == kSharedId) return ENOENT;
  if (!AttachKnown(id)) {
    CurrentTask task = kUntrackedTask;
    if (id == TASKMEM_STORAGE) {
      task = {id, kStorageSlot, 0};
    } else if (id != TASKMEM_UNTRACKED && !FindLive(id, &task)) {
      return ENOENT;
    }
    LeavePool();
    if (!AttachThread(task, false)) return ENOMEM;
  }
  if (previous != nullptr) *previous = before;
  return 0;
}

int taskmem_thread_detach(void) { return taskmem_thread_attach(TASKMEM_UNTRACKED, nullptr); }

int taskmem_task_usage(uint64_t id, taskmem_usage* usage) {
  CurrentTask task;
  if (usage == nullptr) return EINVAL;
  if (!FindLive(id, &task)) return ENOENT;
  ReadUsage(task.slot, usage);
  return 0;
}

int taskmem_task_set_quota(uint64_t id, uint64_t bytes) {
  CurrentTask task;
  if (bytes == 0) return EINVAL;
  if (!FindLive(id, &task)) return ENOENT;
  TaskBook& book = g_books[task.slot];
  SetTaskQuota(task.slot, bytes);
  TaskBook::RaisePeak(book.peak_overdraft_bytes, book.Overdraft());
  return 0;
}

int taskmem_owner_of(const void* address, uint64_t* id) {
  uint32_t slot = 0;
  if (id == nullptr) return EINVAL;
  EnsureSettledBooks();
  if (!OwnerOf(address, &slot) && !OwnerOfMapping(address, &slot)) return ENOENT;
  *id = IdOfSlot(slot);
  return 0;
}

int taskmem_sample_residency(void) {
  ListBooks();
  SampleResidencyNow();
  PublishMappings(/*with_stacks=*/true);
  return 0;
}

int taskmem_next_mapping(const void* address, taskmem_mapping* mapping) {
  if (mapping == nullptr) return EINVAL;
  EnsureSettledBooks();
  MappedRange range = {};
  if (ReadMappings(reinterpret_cast<uint64_t>(address), &range, 1) == 0) return ENOENT;
  *mapping = {};
  mapping->start = range.start;
  mapping->end = range.end;
  mapping->task = IdOfSlot(range.tag.slot);
  mapping->kind = static_cast<uint32_t>(range.tag.kind);
  mapping->charged_by = static_cast<uint32_t>(range.tag.rule);
  mapping->protection = range.tag.protection;
  mapping->library = LibraryAt(range.tag.library).name;
  return 0;
}

int taskmem_page_allocate(uint64_t bytes, taskmem_page* page) {
  if (page == nullptr || bytes == 0 || bytes > uint64_t{kMaxPageBytes}) return EINVAL;
  const CurrentTask task = GetCurrentTask();
  if (task.slot == kUntrackedSlot) return ENOENT;
  const ErrnoKeeper keeper;
  auto* start = static_cast<char*>(TaskmemMalloc(bytes));
  if (start == nullptr) return ENOMEM;
  TaskPage numbered = {};
  uint32_t owner = kUntrackedSlot;
  // Where the task has ended meanwhile, the block is not its.
  const int error =
      OwnerOf(start, &owner) && owner == task.slot ? AddPage(task, start, &numbered) : ENOENT;
  if (error != 0) {
    TaskmemFree(start);
    return error;
  }
  *page = {start, bytes, task.id, numbered.serial, numbered.number};
  return 0;
}

int taskmem_page_free(taskmem_page* page) {
  if (page == nullptr || page->address == nullptr) return EINVAL;
  auto* start = static_cast<char*>(page->address);
  if (const int error = RemovePage(start, page->serial)) return error;
  *page = {};
  TaskmemFree(start);
  return 0;
}

int taskmem_encode(const void* address, uint64_t* encoded) {
  if (encoded == nullptr) return EINVAL;
  BlockPlace place = {};
  if (!FindBlock(address, &place)) return ENOENT;
  return EncodeInPage(place, address, encoded);
}

int taskmem_decode(uint64_t id, uint64_t encoded, void** address) {
  CurrentTask task;
  if (address == nullptr) return EINVAL;
  if (!FindLive(id, &task)) return ENOENT;
  char* decoded = DecodeInPages(task.slot, encoded);
  if (decoded == nullptr) return ENOENT;
  *address = decoded;
  return 0;
}

const char* taskmem_version(void) { return kVersion; }

int taskmem_walk_heaps(uint64_t* charged_bytes, uint64_t* walked_bytes) {
  if (charged_bytes == nullptr || walked_bytes == nullptr) return EINVAL;
  *charged_bytes = *walked_bytes = 0;
  EnsureSettledBooks();
  static uint64_t walked[kMaxTaskSlots];  // the caller sees to it that it is alone
  static uint64_t overflow[kMaxTaskSlots];
  for (uint64_t& bytes : walked) bytes = 0;
  for (uint64_t& bytes : overflow) bytes = 0;
  WalkHeaps(walked, overflow);
  int result = 0;
  const uint32_t slots = g_stats->task_slots.load();
  for (uint32_t i = 0; i < slots; ++i) {
    const uint64_t charged = g_books[i].charged_bytes.load();
    *charged_bytes += charged;
    *walked_bytes += walked[i];
    if (charged != walked[i]) result = EILSEQ;
    if (g_reclaim_books[i].overflow_bytes.load() != overflow[i]) result = EILSEQ;
  }
  return result;
}

}  // extern "C"
