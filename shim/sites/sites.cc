#include "shim/sites/sites.h"

#include "shim/books/own_memory.h"
#include "shim/published/stats_segment.h"
#include "shim/sites/unloaded_libraries.h"

namespace taskmem {

bool g_sites_on = false;
bool g_sites_adapt = true;

constinit SiteTable g_site_table({[](size_t bytes, void*) { return OwnAllocate(bytes); },
                                  [](void*, void*) {}, nullptr},
                                 IsUnloadedLibraryBack);

void OpenSites(const Options& options) {
  if (!options.sites) return;
  g_sites_adapt = !options.sites_interval_given;
  g_sites_on = g_site_table.Open(options.sites_interval_bytes);
  if (!g_sites_on) return;
  g_stats->audit.sites = reinterpret_cast<uint64_t>(&g_site_table.head());
  WatchUnloading(&g_site_table);
  g_stats->audit.unloaded = reinterpret_cast<uint64_t>(&UnloadedLibraries());
}

namespace {

const SiteStack* CurrentStack(StackTop stack, SiteScratch* scratch) {
  uint32_t flags = 0;
  PrepareToUnwind(stack.address, stack.known_bytes, &scratch->unwind);
  const uint32_t count =
      Unwind(HereOnStack(), &scratch->unwind, scratch->frames, kMaxFrames, &flags);
  return g_site_table.Intern(scratch->frames, count, flags);
}

}  // namespace

bool RecordSite(StackTop stack, SiteScratch* scratch, uint64_t block, uint64_t bytes,
                uint64_t weight) {
  return g_site_table.Remember(block, CurrentStack(stack, scratch), bytes, weight);
}

uint32_t SiteNumber(StackTop stack, SiteScratch* scratch) {
  const SiteStack* const found = CurrentStack(stack, scratch);
  return found != nullptr ? found->number : 0;
}

}  // namespace taskmem
