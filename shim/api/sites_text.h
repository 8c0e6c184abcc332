// The largest sites of a task (shim/sites/task_sites.h), its mappings' among them, as a text.
#ifndef TASKMEM_SHIM_API_SITES_TEXT_H_
#define TASKMEM_SHIM_API_SITES_TEXT_H_

#include <cstdint>

#include "shim/mapping_book/mapping_queries.h"
#include "shim/sites/task_sites.h"

namespace taskmem {

// Memory of the library's own: whoever allocates may have little stack.
struct SitesText {
  TaskSites sites;
  MappedRange ranges[64];
  char text[1024];
};

// Of the task in `slot`, behind the two texts. nullptr: nothing is known of sites, or there is no
// memory for it. Some milliseconds, where there are many samples. To be called with no lock held;
// may be amid an allocation.
SitesText* MakeSitesText(uint32_t slot, const char* before, const char* between);
// Of the newest task of this id, live or ended.
SitesText* MakeSitesTextOfTask(uint64_t id);
void FreeSitesText(SitesText* text);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_API_SITES_TEXT_H_
