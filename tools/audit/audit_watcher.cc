#include "tools/audit/audit_watcher.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "tools/base/process_info.h"
#include "tools/stats/process_books.h"
#include "tools/stats/run_session.h"

namespace taskmem {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(20);
constexpr uint64_t kLeastGrowthBytes = 1 << 20;

uint64_t NowNs() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                               std::chrono::nanoseconds(1));
}

// Of the folder, of a stats file or smaps, and of pagemap. A program that waits for its audit
// would wait in vain for who cannot open these.
void CheckDescriptors() {
  constexpr int kNeeded = 4;
  int fds[kNeeded];
  int opened = 0;
  while (opened < kNeeded && (fds[opened] = dup(STDERR_FILENO)) >= 0) ++opened;
  const int error = errno;
  for (int i = 0; i < opened; ++i) close(fds[i]);
  if (opened < kNeeded) throw std::system_error(error, std::generic_category());
}

}  // namespace

AuditWatcher::AuditWatcher(std::vector<std::string> stats_dirs, std::string session)
    : stats_dirs_(std::move(stats_dirs)), session_(std::move(session)) {
  CheckDescriptors();
  // Signals are the main thread's, which forwards them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  try {
    thread_ = std::thread([this] { Watch(); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

AuditWatcher::~AuditWatcher() { Stop(); }

void AuditWatcher::Stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void AuditWatcher::Watch() {
  while (!stopping_) {
    try {
      Look();
    } catch (const std::exception& error) {
      // The program must not notice, nor who waits for it.
      rest_until_ns_ = UINT64_MAX;
      error_ = std::string("no audit: ") + error.what();
    }
    std::this_thread::sleep_for(kInterval);
  }
}

void AuditWatcher::Look() {
  const std::optional<WatchedProcess> process = FindChildOf(stats_dirs_, session_, getpid());
  if (!process) return;
  if (process->waits_for_audit) {
    // Whatever becomes of the audit, it must not wait for nothing.
    struct Release {
      ~Release() { ReleaseFromAudit(process); }
      const WatchedProcess& process;
    } release{*process};
    at_exit_ = Take(process->pid);
    return;
  }
  const uint64_t now = NowNs();
  if (now < rest_until_ns_) return;
  const uint64_t resident = ReadResidentBytes(process->pid).now;
  if (resident < peak_resident_bytes_ + peak_resident_bytes_ / 20 + kLeastGrowthBytes) return;
  if (auto audit = Take(process->pid)) {
    peak_resident_bytes_ = std::max(resident, audit->resident_bytes);
    peak_ = std::move(audit);
  }
  constexpr uint64_t kRestTimes = 9;
  rest_until_ns_ = NowNs() + kRestTimes * (NowNs() - now);
}

std::unique_ptr<Audit> AuditWatcher::Take(pid_t pid) {
  const auto books = ReadProcessBooks(stats_dirs_, pid);
  if (!books) return nullptr;
  auto audit = TakeAudit(*books, &error_);
  if (!audit) return nullptr;
  error_.clear();
  return std::make_unique<Audit>(*std::move(audit));
}

}  // namespace taskmem
