// The stats segment of a process, read from its file. Header only and without
// allocation, so that the programs under test can read their own.
#ifndef TASKMEM_TESTS_SUPPORT_STATS_FILE_H_
#define TASKMEM_TESTS_SUPPORT_STATS_FILE_H_

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "accounting/audit/stats_layout.h"

namespace taskmem::test {

class StatsFile {
 public:
  // Maps the file <folder>/<pid>-*; ok() is false where there is none.
  StatsFile(const char* folder, int pid) {
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "%d-", pid);
    DIR* entries = opendir(folder);
    if (entries == nullptr) return;
    while (const dirent* entry = readdir(entries)) {
      if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) continue;
      char path[512];
      snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
      Map(path);
      break;
    }
    closedir(entries);
  }

  // This process's own, in the folder that TASKMEM_STATS_DIR names.
  static StatsFile Own() {
    const char* folder = getenv("TASKMEM_STATS_DIR");
    return StatsFile(folder != nullptr ? folder : "", getpid());
  }

  ~StatsFile() {
    if (start_ != nullptr) munmap(const_cast<char*>(start_), kStatsBytes);
  }
  StatsFile(const StatsFile&) = delete;
  StatsFile& operator=(const StatsFile&) = delete;

  bool ok() const { return start_ != nullptr; }
  const StatsHeader& header() const { return *reinterpret_cast<const StatsHeader*>(start_); }
  const TaskBook& book(uint32_t slot) const {
    return reinterpret_cast<const TaskBook*>(start_ + kTasksOffset)[slot];
  }
  const MappingsTable& mappings() const {
    return *reinterpret_cast<const MappingsTable*>(start_ + kMappingsOffset);
  }
  // The first allocator of a library that has such a text in its name; nullptr: there is none.
  const AllocatorRow* FindAllocator(const char* library) const {
    const auto& table = *reinterpret_cast<const AllocatorsTable*>(start_ + kAllocatorsOffset);
    for (uint32_t i = 0; i < table.rows.load(); ++i) {
      if (strstr(table.row[i].library, library) != nullptr) return &table.row[i];
    }
    return nullptr;
  }
  // What was done to make room for the task of a book of this file.
  const ReclaimBook& reclaim_book(const TaskBook& book) const {
    const auto* books = reinterpret_cast<const TaskBook*>(start_ + kTasksOffset);
    return reinterpret_cast<const ReclaimBook*>(start_ + kReclaimOffset)[&book - books];
  }
  uint32_t slots() const { return header().task_slots.load(); }

  // The newest book of the task `id`: the live one, else an ended one, else nullptr.
  const TaskBook* Find(uint64_t id) const {
    const TaskBook* ended = nullptr;
    for (uint32_t slot = kFirstTaskSlot; slot < slots(); ++slot) {
      const TaskBook& candidate = book(slot);
      if (candidate.task_id.load() != id) continue;
      if (candidate.state.load() == TaskState::kLive) return &candidate;
      if (candidate.state.load() == TaskState::kEnded) ended = &candidate;
    }
    return ended;
  }

  // What was done to make room for that task; nullptr as above.
  const ReclaimBook* FindReclaim(uint64_t id) const {
    const TaskBook* const found = Find(id);
    if (found == nullptr) return nullptr;
    const auto slot = static_cast<uint32_t>(found - &book(0));
    return reinterpret_cast<const ReclaimBook*>(start_ + kReclaimOffset) + slot;
  }

  // What all books say is charged. Exact while no thread allocates or frees.
  uint64_t ChargedBytes() const {
    uint64_t sum = 0;
    for (uint32_t slot = 0; slot < slots(); ++slot) sum += book(slot).charged_bytes.load();
    return sum;
  }

 private:
  void Map(const char* path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    struct stat status = {};
    if (fstat(fd, &status) == 0 && static_cast<size_t>(status.st_size) >= kStatsBytes) {
      void* start = mmap(nullptr, kStatsBytes, PROT_READ, MAP_SHARED, fd, 0);
      if (start != MAP_FAILED) start_ = static_cast<const char*>(start);
    }
    close(fd);
    if (start_ != nullptr && header().magic != kStatsMagic) {
      munmap(const_cast<char*>(start_), kStatsBytes);
      start_ = nullptr;
    }
  }

  const char* start_ = nullptr;
};

}  // namespace taskmem::test

#endif  // TASKMEM_TESTS_SUPPORT_STATS_FILE_H_
