// The program's mappings in the stats segment, for those who read it from outside.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_MAPPINGS_TABLE_H_
#define TASKMEM_SHIM_MAPPING_BOOK_MAPPINGS_TABLE_H_

namespace taskmem {

// Writes all ranges into the table; also how much of the threads' stacks is in memory, where
// that is wanted, which reads /proc/self/maps. One thread at a time; others return at once.
// No lock may be held.
void PublishMappings(bool with_stacks);

// In a forked child: nobody is writing.
void MappingsTableAfterFork();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_MAPPINGS_TABLE_H_
