#include "shim/tasks/task_pages.h"

#include <errno.h>

#include <cstring>

#include "accounting/base/mutex.h"
#include "accounting/tasks/page_table.h"
#include "accounting/tasks/task_book.h"
#include "shim/books/fold.h"
#include "shim/books/own_memory.h"
#include "shim/books/task_registry.h"
#include "shim/heap/upcalls.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

// What a number stands for. `start` 0: nothing.
struct NumberedPage {
  char* start;
  uint64_t serial;  // 0: not of the API
};

// One task's numbers. Made at the first.
struct PagesOfTask {
  PageNumbers numbers;
  NumberedPage* pages;  // by number
  int capacity;         // a power of two
};

// Where a page is to be found by its start. Starts of API pages and of the allocator's pages
// are kept apart: a page of the allocator may begin with a block that is an API page.
struct Entry {
  char* start;      // nullptr: free
  uint64_t serial;  // of API pages; 0: a page of the allocator's
  uint32_t slot;    // kUntrackedSlot: its task has ended
  uint16_t number;
};

Mutex g_mutex;
PagesOfTask* g_tasks[kMaxTaskSlots];
Entry* g_entries = nullptr;  // open addressing by start
uint32_t g_capacity = 0;     // a power of two
uint32_t g_count = 0;
uint64_t g_last_serial = 0;

uint32_t Home(const char* start) {
  return static_cast<uint32_t>((reinterpret_cast<uintptr_t>(start) * 0x9e3779b97f4a7c15u) >> 32) &
         (g_capacity - 1);
}

bool GrowEntries() {
  const uint32_t old_capacity = g_capacity;
  Entry* const old = g_entries;
  const uint32_t capacity = old_capacity == 0 ? 64 : old_capacity * 2;
  auto* entries = static_cast<Entry*>(OwnAllocate(capacity * sizeof(Entry)));
  if (entries == nullptr) return false;
  g_entries = entries;
  g_capacity = capacity;
  for (uint32_t i = 0; i < old_capacity; ++i) {
    if (old[i].start == nullptr) continue;
    uint32_t at = Home(old[i].start);
    while (g_entries[at].start != nullptr) at = (at + 1) & (capacity - 1);
    g_entries[at] = old[i];
  }
  if (old != nullptr) OwnFree(old, old_capacity * sizeof(Entry));
  return true;
}

template <typename Wanted>
Entry* FindEntry(const char* start, Wanted wanted) {
  if (g_capacity == 0) return nullptr;
  const uint32_t mask = g_capacity - 1;
  for (uint32_t at = Home(start); g_entries[at].start != nullptr; at = (at + 1) & mask) {
    if (g_entries[at].start == start && wanted(g_entries[at])) return &g_entries[at];
  }
  return nullptr;
}

Entry* FindApiPage(const char* start) {
  return FindEntry(start, [](const Entry& entry) { return entry.serial != 0; });
}

Entry* FindAllocatorPage(const char* start, uint32_t slot) {
  return FindEntry(start,
                   [slot](const Entry& entry) { return entry.serial == 0 && entry.slot == slot; });
}

void EraseEntry(Entry* entry) {
  const uint32_t mask = g_capacity - 1;
  auto gap = static_cast<uint32_t>(entry - g_entries);
  // Later entries of the run move back, so that no look-up meets the gap.
  for (uint32_t at = (gap + 1) & mask; g_entries[at].start != nullptr; at = (at + 1) & mask) {
    if (((at - Home(g_entries[at].start)) & mask) >= ((at - gap) & mask)) {
      g_entries[gap] = g_entries[at];
      gap = at;
    }
  }
  g_entries[gap] = {};
  --g_count;
}

void FreeNumber(PagesOfTask& task, int number) {
  task.numbers.Free(number);
  task.pages[number] = {};
}

// Takes numbers back whose pages the allocator has given back.
void SweepNumbers(PagesOfTask& task, uint32_t slot) {
  for (int number = 0; number < task.capacity; ++number) {
    const NumberedPage page = task.pages[number];
    if (page.start == nullptr || page.serial != 0 || IsPageOf(page.start, slot)) continue;
    EraseEntry(FindAllocatorPage(page.start, slot));
    FreeNumber(task, number);
  }
}

PagesOfTask* PagesOf(uint32_t slot) {
  if (g_tasks[slot] == nullptr) {
    g_tasks[slot] = static_cast<PagesOfTask*>(OwnAllocate(sizeof(PagesOfTask)));
  }
  return g_tasks[slot];
}

bool MakeRoomFor(PagesOfTask& task, int number) {
  if (number < task.capacity) return true;
  const int capacity = task.capacity == 0 ? 64 : task.capacity * 2;
  auto* pages =
      static_cast<NumberedPage*>(OwnAllocate(static_cast<size_t>(capacity) * sizeof(NumberedPage)));
  if (pages == nullptr) return false;
  if (task.pages != nullptr) {
    const size_t bytes = static_cast<size_t>(task.capacity) * sizeof(NumberedPage);
    memcpy(pages, task.pages, bytes);
    OwnFree(task.pages, bytes);
  }
  task.pages = pages;
  task.capacity = capacity;
  return true;
}

// Gives the page at `start` the lowest free number.
int Number(uint32_t slot, char* start, uint64_t serial, int* number) {
  PagesOfTask* task = PagesOf(slot);
  if (task == nullptr || ((g_count + 1) * 2 > g_capacity && !GrowEntries())) return ENOMEM;
  *number = task->numbers.Allocate();
  if (*number < 0) {
    SweepNumbers(*task, slot);
    *number = task->numbers.Allocate();
    if (*number < 0) return ENOSPC;
  }
  if (!MakeRoomFor(*task, *number)) {
    task->numbers.Free(*number);
    return ENOMEM;
  }
  task->pages[*number] = {start, serial};
  uint32_t at = Home(start);
  while (g_entries[at].start != nullptr) at = (at + 1) & (g_capacity - 1);
  g_entries[at] = {start, serial, slot, static_cast<uint16_t>(*number)};
  ++g_count;
  return 0;
}

}  // namespace

int AddPage(const CurrentTask& task, char* start, TaskPage* page) {
  const MutexLock lock(g_mutex);
  // The end of a task comes before ForgetPages: what is added here is forgotten there.
  if (g_task_slots[task.slot].generation.load() != task.generation) return ENOENT;
  int number = 0;
  const uint64_t serial = g_last_serial + 1;
  // A page that was given to free() instead: its number goes.
  if (Entry* stale = FindApiPage(start)) {
    if (stale->slot != kUntrackedSlot) FreeNumber(*g_tasks[stale->slot], stale->number);
    EraseEntry(stale);
  }
  if (const int error = Number(task.slot, start, serial, &number)) return error;
  g_last_serial = serial;
  *page = {static_cast<uint32_t>(number), serial};
  return 0;
}

int RemovePage(char* start, uint64_t serial) {
  const MutexLock lock(g_mutex);
  Entry* entry = FindApiPage(start);
  if (entry == nullptr || entry->serial != serial) return EINVAL;
  if (entry->slot != kUntrackedSlot) FreeNumber(*g_tasks[entry->slot], entry->number);
  EraseEntry(entry);
  return 0;
}

int EncodeInPage(const BlockPlace& place, const void* address, uint64_t* encoded) {
  const MutexLock lock(g_mutex);
  if (place.slot < kFirstTaskSlot || g_books[place.slot].state.load() != TaskState::kLive) {
    return ENOENT;
  }
  const Entry* entry = FindApiPage(place.block);
  if (entry == nullptr || entry->slot != place.slot) {
    entry = FindAllocatorPage(place.page, place.slot);
  }
  int number;
  char* start = place.page;
  if (entry != nullptr) {
    number = entry->number;
    start = entry->start;
  } else if (const int error = Number(place.slot, place.page, 0, &number)) {
    return error;
  }
  *encoded =
      EncodeAddress(number, static_cast<uint64_t>(static_cast<const char*>(address) - start));
  return 0;
}

char* DecodeInPages(uint32_t slot, uint64_t encoded) {
  const MutexLock lock(g_mutex);
  const PagesOfTask* task = g_tasks[slot];
  const int number = DecodePageNumber(encoded);
  if (task == nullptr || !task->numbers.IsTaken(number)) return nullptr;
  return task->pages[number].start + DecodeOffset(encoded);
}

void ForgetPages(uint32_t slot) {
  const MutexLock lock(g_mutex);
  PagesOfTask* task = g_tasks[slot];
  if (task == nullptr) return;
  g_tasks[slot] = nullptr;
  for (int number = 0; number < task->capacity; ++number) {
    const NumberedPage page = task->pages[number];
    if (page.start == nullptr) continue;
    if (page.serial != 0) {
      FindApiPage(page.start)->slot = kUntrackedSlot;
    } else {
      EraseEntry(FindAllocatorPage(page.start, slot));
    }
  }
  if (task->pages != nullptr) {
    OwnFree(task->pages, static_cast<size_t>(task->capacity) * sizeof(NumberedPage));
  }
  OwnFree(task, sizeof(*task));
}

Mutex& TaskPagesMutex() { return g_mutex; }

}  // namespace taskmem
