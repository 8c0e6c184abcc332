#include "spill/names/storage_level.h"

#include <cstdio>

namespace taskmem {
namespace {

struct Named {
  std::string_view name;
  int flags;
  int replication;
};

constexpr int kMemory = StorageLevel::kMemoryFlag;
constexpr int kDisk = StorageLevel::kDiskFlag;
constexpr int kDeserialized = StorageLevel::kDeserializedFlag;

constexpr Named kNamed[] = {
    {"NONE", 0, 1},
    {"DISK_ONLY", kDisk, 1},
    {"DISK_ONLY_2", kDisk, 2},
    {"DISK_ONLY_3", kDisk, 3},
    {"MEMORY_ONLY", kMemory | kDeserialized, 1},
    {"MEMORY_ONLY_2", kMemory | kDeserialized, 2},
    {"MEMORY_ONLY_SER", kMemory, 1},
    {"MEMORY_ONLY_SER_2", kMemory, 2},
    {"MEMORY_AND_DISK", kDisk | kMemory | kDeserialized, 1},
    {"MEMORY_AND_DISK_2", kDisk | kMemory | kDeserialized, 2},
    {"MEMORY_AND_DISK_SER", kDisk | kMemory, 1},
    {"MEMORY_AND_DISK_SER_2", kDisk | kMemory, 2},
    {"OFF_HEAP", kDisk | kMemory | StorageLevel::kOffHeapFlag, 1},
};

}  // namespace

bool StorageLevel::Make(int flags, int replication, StorageLevel* level) {
  if (flags < 0 || flags > 15 || replication < 0 || replication >= kReplicationLimit) return false;
  *level = StorageLevel(flags, replication);
  return true;
}

bool StorageLevel::FromName(std::string_view name, StorageLevel* level) {
  for (const Named& named : kNamed) {
    if (named.name == name) return Make(named.flags, named.replication, level);
  }
  return false;
}

void StorageLevel::Describe(char* text, size_t size) const {
  snprintf(text, size, "%s%s%s%s %dx Replicated", use_disk() ? "Disk " : "",
           use_memory() ? "Memory " : "", use_off_heap() ? "(off heap) " : "",
           deserialized() ? "Deserialized" : "Serialized", replication_);
}

}  // namespace taskmem
