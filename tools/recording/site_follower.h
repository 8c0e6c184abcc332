// Who holds each resident byte, and which stacks hold what, now and then: as records.
#ifndef TASKMEM_TOOLS_RECORDING_SITE_FOLLOWER_H_
#define TASKMEM_TOOLS_RECORDING_SITE_FOLLOWER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tools/audit/audit.h"
#include "tools/recording/frame_writer.h"
#include "tools/recording/task_follower.h"

namespace taskmem {

class SiteFollower {
 public:
  explicit SiteFollower(FrameWriter* file) : file_(file) {}

  // `tasks` knows whose the slots are.
  void Follow(const Audit& audit, const TaskFollower& tasks);

  // The names of all code that was met, as far as its files tell. Takes at most 20 s.
  void WriteSymbols();

  // Another program took the place of the process.
  void ForgetAll();

 private:
  uint64_t NumberOf(const SiteEstimate& site);
  void WriteModules(const std::vector<Module>& modules);
  void WriteMappings(const Audit& audit);
  void WriteSites(const Audit& audit);

  FrameWriter* const file_;
  std::vector<Module> modules_;
  std::map<std::vector<uint64_t>, uint64_t> stacks_;  // frames and flags: their number
  uint64_t stacks_ever_ = 0;
  std::set<uint64_t> addresses_;
  std::map<uint64_t, std::string> generated_;  // functions that are in no module, by address
  // By slot: the number of its task, as of this look.
  std::map<uint32_t, uint64_t> tasks_;
  // By stack and task + 1, and by task: what was written last.
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> bytes_;
  std::map<uint64_t, uint64_t> mapped_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_SITE_FOLLOWER_H_
