// Records the program that this process runs, while it waits for it.
#ifndef TASKMEM_TOOLS_RECORDING_RECORD_THREAD_H_
#define TASKMEM_TOOLS_RECORDING_RECORD_THREAD_H_

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tools/recording/recorder.h"

namespace taskmem {

class RecordThread {
 public:
  // Records what this process starts in `session`. Throws where there can be no thread.
  RecordThread(const std::string& path, std::vector<std::string> stats_dirs, std::string session);
  ~RecordThread();
  RecordThread(const RecordThread&) = delete;
  RecordThread& operator=(const RecordThread&) = delete;

  // The program has ended, by a signal unless that is 0; its books are still there.
  void Stop(int signal = 0);

  // After Stop: what became of it; empty: all is well.
  const std::string& error() const { return error_; }

 private:
  void Run();
  void Find();

  Recorder recorder_;
  const std::vector<std::string> stats_dirs_;
  const std::string session_;
  std::string error_;
  int signal_ = 0;  // set before stopping_
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_RECORD_THREAD_H_
