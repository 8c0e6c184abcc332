// Audits a program while it runs: at about its peak, and just before it ends.
#ifndef TASKMEM_TOOLS_AUDIT_AUDIT_WATCHER_H_
#define TASKMEM_TOOLS_AUDIT_AUDIT_WATCHER_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tools/audit/audit.h"

namespace taskmem {

// Looks every 20 ms at the process that this one started in `session`. Takes an audit when
// more is resident than ever before, by a twentieth at least, and when the process is ending.
// Audits take at most about a tenth of the time of a processor.
class AuditWatcher {
 public:
  // Throws where there can be no thread, or no descriptors are left.
  AuditWatcher(std::vector<std::string> stats_dirs, std::string session);
  ~AuditWatcher();
  AuditWatcher(const AuditWatcher&) = delete;
  AuditWatcher& operator=(const AuditWatcher&) = delete;

  // The process has ended.
  void Stop();

  // After Stop. Nothing: it ended before there was one, or by a signal.
  const std::unique_ptr<Audit>& at_exit() const { return at_exit_; }
  const std::unique_ptr<Audit>& peak() const { return peak_; }
  const std::string& error() const { return error_; }  // the last; most often empty

 private:
  void Watch();
  void Look();
  std::unique_ptr<Audit> Take(pid_t pid);

  const std::vector<std::string> stats_dirs_;
  const std::string session_;
  std::atomic<bool> stopping_{false};
  uint64_t peak_resident_bytes_ = 0;
  uint64_t rest_until_ns_ = 0;
  std::unique_ptr<Audit> at_exit_;
  std::unique_ptr<Audit> peak_;
  std::string error_;
  std::thread thread_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_AUDIT_AUDIT_WATCHER_H_
