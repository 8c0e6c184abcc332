// Libraries that are unloaded: what was allocated through them stays theirs
// (accounting/audit/unloaded_code.h), whatever is loaded at their addresses later.
#ifndef TASKMEM_SHIM_SITES_UNLOADED_LIBRARIES_H_
#define TASKMEM_SHIM_SITES_UNLOADED_LIBRARIES_H_

#include <cstddef>
#include <cstdint>

#include "accounting/audit/site_table.h"
#include "accounting/audit/unloaded_code.h"

namespace taskmem {

// Once. From then on frames of `table` are marked; its IsLoadedAgain is IsUnloadedLibraryBack.
void WatchUnloading(SiteTable* table);

// Around a dlclose: which libraries were there before and are not after. What glibc unloads by
// itself (modules of iconv and of nsswitch.conf) is not noticed, nor what lies in another name
// space (dlmopen), of which dl_iterate_phdr says nothing here.
class UnloadWatch {
 public:
  // Where there are sites: makes a list of what is loaded, unless there is one that is right.
  UnloadWatch();
  UnloadWatch(const UnloadWatch&) = delete;
  UnloadWatch& operator=(const UnloadWatch&) = delete;

  // Marks the frames of those that are gone. Both take a lock, under which nothing is called of
  // the program's or the loader's.
  void NoteUnloaded();

 private:
  uint64_t unloaded_ever_ = UINT64_MAX;  // at the beginning
};

// As of SiteTable. Takes no lock.
bool IsUnloadedLibraryBack(uint64_t frame);

const UnloadedHead& UnloadedLibraries();

// Around fork().
void AddSiteLocks(class ForkLocks* locks);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SITES_UNLOADED_LIBRARIES_H_
