// Puts the stats segment into a file that others find.
#ifndef TASKMEM_SHIM_PUBLISHED_STATS_PUBLISH_H_
#define TASKMEM_SHIM_PUBLISHED_STATS_PUBLISH_H_

#include "shim/options/options.h"

namespace taskmem {

// At the start of the program. Where that fails the books stay private and one line says why.
void StatsPublish(const Options& options);

// In a forked child: its books are private now. They will be put into a file where the parent's
// were in one, or were to be.
void StatsNotePrivate();
// Does so. No other thread may use the books meanwhile. I/O.
void StatsList();
// They stay what they are, in no file.
void StatsKeepUnlisted();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_STATS_PUBLISH_H_
