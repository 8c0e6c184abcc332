// How the value of each option is read: the functions that the table in option_table.cc names. Each
// stores the value, or returns false where it is none, and leaves `options` as they were.
#ifndef TASKMEM_SHIM_OPTIONS_OPTION_VALUES_H_
#define TASKMEM_SHIM_OPTIONS_OPTION_VALUES_H_

#include "shim/options/options.h"

namespace taskmem {

bool ParseTaskBy(const char* value, Options* options);
bool ParseTaskPerRename(const char* value, Options* options);
bool ParseInherit(const char* value, Options* options);
bool ParseQuota(const char* value, Options* options);
bool ParseMemory(const char* value, Options* options);
bool ParseStorageFraction(const char* value, Options* options);
bool ParseShare(const char* value, Options* options);
bool ParseAtLimit(const char* value, Options* options);
bool ParseRefuseMin(const char* value, Options* options);
bool ParseRefusalBudget(const char* value, Options* options);
bool ParseAtBudget(const char* value, Options* options);
bool ParseSoftLimit(const char* value, Options* options);
bool ParseSpillTimeout(const char* value, Options* options);
bool ParseWait(const char* value, Options* options);
bool ParsePlugin(const char* value, Options* options);
bool ParseSpillDir(const char* value, Options* options);
bool ParseSpillFsync(const char* value, Options* options);
bool ParseSpillCompress(const char* value, Options* options);
bool ParseOverflow(const char* value, Options* options);
bool ParseOverflowSize(const char* value, Options* options);
bool ParseAtThrashing(const char* value, Options* options);
bool ParseResidencyInterval(const char* value, Options* options);
bool ParseLog(const char* value, Options* options);
bool ParseLogLevel(const char* value, Options* options);
bool ParseProfile(const char* value, Options* options);
bool ParseRedirectLibc(const char* value, Options* options);
bool ParsePoolThreads(const char* value, Options* options);
bool ParseAdopt(const char* value, Options* options);
bool ParseSites(const char* value, Options* options);
bool ParseSitesInterval(const char* value, Options* options);
bool ParseLabel(const char* value, Options* options);
bool ParseStatsDir(const char* value, Options* options);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_OPTION_VALUES_H_
