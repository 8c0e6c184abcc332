// Allocation sites of the process: which stacks hold what is live, by samples
// (accounting/audit/site_table.h). The allocator says which block is a sample
// (pages/sampled_blocks.h); this finds the stack and keeps it.
#ifndef TASKMEM_SHIM_SITES_SITES_H_
#define TASKMEM_SHIM_SITES_SITES_H_

#include <cstdint>

#include "accounting/audit/site_table.h"
#include "shim/options/options.h"
#include "shim/sites/unwinder.h"

namespace taskmem {

// False until OpenSites, and where sampling is off.
extern bool g_sites_on;
// Whether the interval may grow where samples would cost too much.
extern bool g_sites_adapt;
extern SiteTable g_site_table;

// Once, before the first thread is started.
void OpenSites(const Options& options);

struct SiteScratch {
  UnwindScratch unwind;
  uint64_t frames[kMaxFrames];
};

// Where the calling thread's own stack ends, and how much below that is known to be readable.
struct StackTop {
  uint64_t address;
  uint64_t known_bytes;
};

// Remembers the block at `block`: the calling thread's stack, which ends at `stack`, the
// `bytes` asked for, and what the block stands for. Takes no lock. False: no room.
bool RecordSite(StackTop stack, SiteScratch* scratch, uint64_t block, uint64_t bytes,
                uint64_t weight);

// The number of the calling thread's stack, as of SiteStack. 0: no room.
uint32_t SiteNumber(StackTop stack, SiteScratch* scratch);

struct MappingSample {
  uint32_t site = 0;  // number of the stack
  uint8_t scale = 0;  // what a byte of it stands for (ScaleOf, accounting/audit/sample_clock.h)
};

// Whether a mapping of `bytes` that is being made is remembered by its stack: where it is as
// large as the interval always, else by chance. Site 0: it is not. The calling thread holds no
// lock.
MappingSample SampleMapping(uint64_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SITES_SITES_H_
