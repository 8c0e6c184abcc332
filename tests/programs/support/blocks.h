// What the programs about cached blocks have in common.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_BLOCKS_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_BLOCKS_H_

#include <dirent.h>

#include <string>

#include "tests/programs/support/pools.h"

inline unsigned SeedOf(const std::string& name) {
  unsigned seed = 7;
  for (const char c : name) seed = seed * 31 + static_cast<unsigned char>(c);
  return seed;
}

// Bytes that tell the block from any other, written once there is room for them.
inline int SupplyPattern(void* context, void* to, uint64_t bytes) {
  FillPattern(to, bytes, SeedOf(static_cast<const char*>(context)));
  return 0;
}

inline int PutPattern(const std::string& name, uint64_t bytes,
                      uint32_t level = TASKMEM_MEMORY_AND_DISK) {
  taskmem_block_options options = {};
  options.size = sizeof(options);
  options.level = level;
  options.bytes = bytes;
  options.supply = SupplyPattern;
  options.context = const_cast<char*>(name.c_str());
  return taskmem_block_put(name.c_str(), &options);
}

inline taskmem_block Get(const std::string& name) {
  taskmem_block block = {};
  REQUIRE_COMPARE(taskmem_block_get(name.c_str(), &block), ==, 0);
  return block;
}

inline void Release(taskmem_block block) { REQUIRE_COMPARE(taskmem_block_release(&block), ==, 0); }

inline void RequirePattern(const std::string& name, uint64_t bytes) {
  const taskmem_block block = Get(name);
  REQUIRE_COMPARE(block.kind, ==, TASKMEM_BLOCK_BYTES);
  REQUIRE_COMPARE(block.bytes, ==, bytes);
  REQUIRE(HasPattern(block.data, bytes, SeedOf(name)));
  Release(block);
}

inline taskmem_block_status Info(const std::string& name) {
  taskmem_block_status status = {};
  REQUIRE_COMPARE(taskmem_block_info(name.c_str(), &status), ==, 0);
  return status;
}

inline bool Contains(const std::string& name) {
  const int answer = taskmem_block_contains(name.c_str());
  REQUIRE(answer == 0 || answer == ENOENT);
  return answer == 0;
}

// "memory", "disk", "memory disk" or "nowhere".
inline std::string Where(const std::string& name) {
  taskmem_block_status status = {};
  if (taskmem_block_info(name.c_str(), &status) != 0) return "nowhere";
  if (status.in_memory == 0) return "disk";
  return status.on_disk != 0 ? "memory disk" : "memory";
}

inline uint64_t StorageBook(const taskmem::test::StatsFile& stats) {
  return stats.book(taskmem::kStorageSlot).charged_bytes.load();
}

inline uint64_t StoragePool(const taskmem::test::StatsFile& stats) {
  return stats.header().pools.storage_used_bytes.load();
}

// Calls visit(path) for every file of a block in the spill directory.
template <typename Visit>
void ForEachBlockFile(const std::string& folder, Visit visit) {
  DIR* const entries = opendir(folder.c_str());
  REQUIRE(entries != nullptr);
  while (const dirent* entry = readdir(entries)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (entry->d_type == DT_DIR) ForEachBlockFile(folder + "/" + name, visit);
    if (name.rfind("block", 0) == 0) visit(folder + "/" + name);
  }
  closedir(entries);
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_BLOCKS_H_
