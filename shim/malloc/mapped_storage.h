// Storage that no heap has: cached blocks in mappings of their own.
#ifndef TASKMEM_SHIM_MALLOC_MAPPED_STORAGE_H_
#define TASKMEM_SHIM_MALLOC_MAPPED_STORAGE_H_

#include <cstdint>

namespace taskmem {

// What the storage book has of it (CountMappedStorage, heap/heap.h).
uint64_t MappedStorageBytes();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MALLOC_MAPPED_STORAGE_H_
