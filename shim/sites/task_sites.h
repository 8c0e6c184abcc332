// Which code holds most of what a task has, by live samples: as an audit says it, but in the
// process itself, in a line, and of one task.
#ifndef TASKMEM_SHIM_SITES_TASK_SITES_H_
#define TASKMEM_SHIM_SITES_TASK_SITES_H_

#include <cstddef>
#include <cstdint>

#include "accounting/audit/site_table.h"
#include "shim/code/code_name.h"

namespace taskmem {

// What samples of one task add up to, by stack. Zeroed memory is an empty one. Takes no lock, and
// what it does is bounded: a task with more stacks than there is room for, or a process with more
// samples than are looked at, is told of by a part of them.
class TaskSites {
 public:
  // Blocks of the task in `slot`.
  void AddBlocks(uint32_t slot);
  // Mappings that the stack of that number made (SiteStack::number); 0: none.
  void AddMapping(uint32_t site, uint64_t bytes);

  static constexpr uint32_t kShown = 3;

  // "12.0 MiB by inflate < read_rows (libz.so.1), 3.0 MiB by ...": at most `sites`, each with the
  // code that called malloc or mmap, and its caller. Returns the length of what was written, 0
  // where nothing is known.
  size_t Describe(uint32_t sites, char* text, size_t text_bytes);

 private:
  static constexpr uint32_t kStacks = 1024;
  static constexpr uint32_t kNamed = 8;  // the largest stacks: some of them have the same names
  static constexpr size_t kNameBytes = 256;

  struct Sum {
    const SiteStack* stack;
    uint64_t bytes;
  };
  struct Named {
    uint64_t bytes;
    char name[kNameBytes];
  };

  void Add(const SiteStack* stack, uint64_t bytes);
  Sum TakeLargest();
  void Name(const SiteStack& stack, char* name, size_t name_bytes);

  Sum sums_[kStacks];
  Named named_[kNamed];
  CodeName frame_;
  CodeNameScratch scratch_;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SITES_TASK_SITES_H_
