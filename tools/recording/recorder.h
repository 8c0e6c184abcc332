// Records one process from outside: its books, its events, and now and then an audit.
#ifndef TASKMEM_TOOLS_RECORDING_RECORDER_H_
#define TASKMEM_TOOLS_RECORDING_RECORDER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/recording/event_source.h"
#include "tools/recording/frame_writer.h"
#include "tools/recording/record_types.h"
#include "tools/recording/site_follower.h"
#include "tools/recording/task_follower.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {

// Takes at most about 1 % of the time of a processor for the books, and as much for the stacks
// (twice that while memory grows), and 5 MB a minute: where there is much to record it looks less
// often. Not thread-safe. The process is neither stopped nor waited for.
class Recorder {
 public:
  // Where the file cannot be written: error() says why.
  explicit Recorder(const std::string& path) : file_(path), tasks_(&file_), sites_(&file_) {}

  // Empty: all is well. Once it is not, nothing more is recorded.
  const std::string& error() const { return file_.error(); }

  // The process whose books are in the stats file `path`. False: they cannot be read (any more).
  bool Attach(pid_t pid, const std::string& path);
  bool is_attached() const { return stats_fd_ >= 0; }

  // Looks, where it is time for that, and returns how many ns later the next look is due. Nothing
  // is done while no process is attached.
  uint64_t Look();

  // Whether the process has ended, or runs another program by now, of which these books are not.
  bool HasEnded() const;
  // Whether the process that was attached last still runs, whatever program.
  bool IsProcessAlive() const;

  // The last look, and what is known only at the end. The recording may go on with another
  // program. `signal`: that ended the process; 0: none, or that is not known.
  void Detach(EndReason reason, int signal = 0);

  // Whether there ever was a process.
  bool has_recorded() const { return has_recorded_; }
  uint64_t recorded_ns() const;
  uint64_t file_bytes() const { return file_.packed_bytes(); }
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

 private:
  void WriteStart(const StatsHeader& header);
  void WriteSettings();
  void WriteTime(uint64_t now_ns);
  void WritePools(const StatsHeader& header);
  void WriteProcess(const StatsHeader& header);
  void WriteDropped();
  // `settled`: nobody changes them any more.
  void LookAtBooks(uint64_t now_ns, bool exact, bool settled);
  void LookAtSites(uint64_t now_ns);
  // How long nothing should be written, so that the file grows no faster than it may; 0: it has
  // room.
  uint64_t NsUntilRoom(uint64_t now_ns) const;

  FrameWriter file_;
  TaskFollower tasks_;
  SiteFollower sites_;
  std::unique_ptr<EventSource> events_;
  pid_t pid_ = 0;
  uint64_t start_time_ = 0;
  std::string stats_path_;
  int stats_fd_ = -1;
  bool has_recorded_ = false;
  uint64_t time_us_ = 0;   // of the last record of time, CLOCK_MONOTONIC
  uint64_t began_ns_ = 0;  // with the first program
  uint64_t next_books_ns_ = 0;
  uint64_t next_exact_ns_ = 0;
  uint64_t next_sites_ns_ = 0;
  uint64_t next_growth_ns_ = 0;
  uint64_t looked_at_bytes_ = 0;  // charged at the last look at sites
  uint64_t next_process_ns_ = 0;
  uint64_t charged_bytes_ = 0;
  uint64_t lost_before_ = 0;  // events, of programs before this one
  uint64_t dropped_ = 0;      // as was written
  std::vector<uint64_t> pools_;
  std::vector<uint64_t> process_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_RECORDER_H_
