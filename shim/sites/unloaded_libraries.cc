#include "shim/sites/unloaded_libraries.h"

#include <dlfcn.h>
#include <link.h>

#include <cstring>

#include "accounting/base/fork_locks.h"
#include "accounting/base/mutex.h"
#include "accounting/base/round_up.h"
#include "shim/base/next_symbol.h"
#include "shim/base/os.h"
#include "shim/base/readable.h"
#include "shim/books/own_memory.h"

namespace taskmem {
namespace {

using Iterate = int (*)(int (*)(dl_phdr_info*, size_t, void*), void*);

// Found at the start: dlclose may be called in a signal handler. A program may have its own
// dl_iterate_phdr.
Iterate g_iterate = nullptr;

__attribute__((constructor)) void FindIterate() {
  g_iterate = reinterpret_cast<Iterate>(NextSymbol("dl_iterate_phdr"));
}

// nullptr: nothing is watched.
SiteTable* g_table = nullptr;

// Guards all that follows.
constinit Mutex g_mutex;
constinit UnloadedHead g_head = {};

UnloadedLibrary* Entry(uint32_t number) {
  const uint64_t chunk =
      g_head.chunks[(number - 1) / kUnloadedInChunk].load(std::memory_order_acquire);
  return reinterpret_cast<UnloadedLibrary*>(chunk) + (number - 1) % kUnloadedInChunk;
}

bool IsSame(const UnloadedLibrary& a, const UnloadedLibrary& b) {
  return a.start == b.start && a.end == b.end && a.fingerprint == b.fingerprint &&
         strcmp(a.path, b.path) == 0;
}

// Its number, also where it was unloaded from there before. 0: there is no room. Under the lock.
uint32_t NumberOf(const UnloadedLibrary& library) {
  const uint32_t count = g_head.count.load(std::memory_order_relaxed);
  for (uint32_t number = count; number > 0; --number) {
    if (IsSame(*Entry(number), library)) return number;
  }
  if (count == kMostUnloaded) return 0;
  std::atomic<uint64_t>& chunk = g_head.chunks[count / kUnloadedInChunk];
  if (count % kUnloadedInChunk == 0) {
    void* const made = OwnAllocate(kUnloadedInChunk * sizeof(UnloadedLibrary));
    if (made == nullptr) return 0;
    chunk.store(reinterpret_cast<uint64_t>(made), std::memory_order_release);
  }
  *Entry(count + 1) = library;
  g_head.count.store(count + 1, std::memory_order_release);
  return count + 1;
}

void CopyPath(const char* name, char (&path)[UnloadedLibrary::kPathBytes]) {
  size_t used = 0;
  if (name[0] != '/') {
    const long got = os::Call(SYS_getcwd, reinterpret_cast<long>(path), sizeof(path) - 1);
    used = got > 0 ? static_cast<size_t>(got) - 1 : 0;
    path[used++] = '/';
  }
  const size_t length = strlen(name);
  const bool fits = used + length < sizeof(path);
  if (fits) memcpy(path + used, name, length);
  path[fits ? used + length : 0] = '\0';
}

// False: it cannot be told from others.
bool Describe(const dl_phdr_info& info, UnloadedLibrary* library) {
  // They lie in the library's first page, most often, and it may have hidden that.
  if (!IsReadable(reinterpret_cast<uint64_t>(info.dlpi_phdr))) return false;
  uint64_t low = UINT64_MAX;
  uint64_t high = 0;
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info.dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    // The beginning of the file, which is looked at.
    if (part.p_offset == 0 && (part.p_filesz < kFingerprintBytes || (part.p_flags & PF_R) == 0)) {
      return false;
    }
    if (part.p_vaddr < low) low = part.p_vaddr;
    if (part.p_vaddr + part.p_memsz > high) high = part.p_vaddr + part.p_memsz;
  }
  if (high <= low) return false;
  constexpr uint64_t kPage = 4096;
  library->start = info.dlpi_addr + low / kPage * kPage;
  library->end = info.dlpi_addr + RoundUp(high, kPage);
  if (high - low < kFingerprintBytes || !IsReadable(library->start)) return false;
  library->fingerprint = Fingerprint(reinterpret_cast<const void*>(library->start));
  CopyPath(info.dlpi_name != nullptr ? info.dlpi_name : "", library->path);
  return true;
}

// How often the loader has added and removed anything.
struct Stamp {
  uint64_t added = 0;
  uint64_t removed = 0;

  bool operator==(const Stamp&) const = default;
};

Stamp StampNow() {
  Stamp stamp;
  g_iterate(
      [](dl_phdr_info* info, size_t, void* to) {
        *static_cast<Stamp*>(to) = {info->dlpi_adds, info->dlpi_subs};
        return 1;
      },
      &stamp);
  return stamp;
}

// What is loaded.
struct LibraryList {
  static constexpr uint32_t kMost = 1024;

  // nullptr: no memory.
  static LibraryList* Make() {
    auto* const list = static_cast<LibraryList*>(OwnAllocate(sizeof(LibraryList)));
    if (list == nullptr) return nullptr;
    list->newest_stack = g_table->newest();
    g_iterate(Add, list);
    return list;
  }
  static void Free(LibraryList* list) {
    // Little of it is in memory.
    memset(static_cast<void*>(list), 0,
           offsetof(LibraryList, libraries) + list->count * sizeof(UnloadedLibrary));
    OwnFree(list, sizeof(LibraryList), /*is_zero=*/true);
  }
  static int Add(dl_phdr_info* info, size_t, void* self) {
    auto* const list = static_cast<LibraryList*>(self);
    list->stamp = {info->dlpi_adds, info->dlpi_subs};
    if (list->count == kMost) return 1;
    if (Describe(*info, &list->libraries[list->count])) ++list->count;
    return 0;
  }

  bool Has(const UnloadedLibrary& library) const {
    for (uint32_t i = 0; i < count; ++i) {
      if (IsSame(libraries[i], library)) return true;
    }
    return false;
  }
  bool IsTaken(uint64_t start, uint64_t end) const {
    for (uint32_t i = 0; i < count; ++i) {
      if (libraries[i].start < end && libraries[i].end > start) return true;
    }
    return false;
  }

  Stamp stamp;
  const SiteStack* newest_stack;  // when all of them were there
  uint32_t count;
  UnloadedLibrary libraries[kMost];
};

LibraryList* g_list = nullptr;

// Marks what is in the list that is known and not in this, which takes its place. Under the lock.
void Replace(LibraryList* list) {
  if (g_list != nullptr) {
    for (uint32_t i = 0; i < g_list->count; ++i) {
      UnloadedLibrary& library = g_list->libraries[i];
      if (list->Has(library)) continue;
      SiteTable::Unloaded unloaded;
      unloaded.start = library.start;
      unloaded.end = library.end;
      unloaded.certain = g_list->newest_stack;
      unloaded.is_reused = list->IsTaken(library.start, library.end);
      unloaded.number = [](void* gone) { return NumberOf(*static_cast<UnloadedLibrary*>(gone)); };
      unloaded.context = &library;
      g_table->NoteUnloaded(unloaded);
    }
    LibraryList::Free(g_list);
  }
  g_list = list;
}

// Makes the list that is known the present one.
void Refresh() {
  LibraryList* const list = LibraryList::Make();
  if (list == nullptr) return;
  const MutexLock lock(g_mutex);
  const bool is_newer = g_list == nullptr || list->stamp.added > g_list->stamp.added ||
                        list->stamp.removed > g_list->stamp.removed;
  if (is_newer) {
    Replace(list);
  } else {
    LibraryList::Free(list);
  }
}

}  // namespace

void WatchUnloading(SiteTable* table) { g_table = table; }

UnloadWatch::UnloadWatch() {
  // A handler may have interrupted its thread here.
  if (g_table == nullptr || g_iterate == nullptr || g_mutex.IsHeldByThisThread()) return;
  const SiteStack* const newest = g_table->newest();
  const Stamp stamp = StampNow();
  unloaded_ever_ = stamp.removed;
  {
    const MutexLock lock(g_mutex);
    if (g_list != nullptr && g_list->stamp == stamp) {
      g_list->newest_stack = newest;
      return;
    }
  }
  Refresh();
}

void UnloadWatch::NoteUnloaded() {
  if (unloaded_ever_ == UINT64_MAX || g_mutex.IsHeldByThisThread()) return;
  if (StampNow().removed != unloaded_ever_) Refresh();
}

bool IsUnloadedLibraryBack(uint64_t frame) {
  const uint32_t number = UnloadedNumber(frame);
  if (number == 0 || number > g_head.count.load(std::memory_order_acquire)) return false;
  const UnloadedLibrary& library = *Entry(number);
  struct dl_find_object found;
  return _dl_find_object(reinterpret_cast<void*>(UnloadedAddress(frame) - 1), &found) == 0 &&
         reinterpret_cast<uint64_t>(found.dlfo_map_start) == library.start &&
         Fingerprint(found.dlfo_map_start) == library.fingerprint;
}

const UnloadedHead& UnloadedLibraries() { return g_head; }

void AddSiteLocks(ForkLocks* locks) { locks->Add(g_mutex); }

}  // namespace taskmem
