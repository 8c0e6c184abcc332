#include "tools/recording/record_thread.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "tools/stats/run_session.h"

namespace taskmem {

RecordThread::RecordThread(const std::string& path, std::vector<std::string> stats_dirs,
                           std::string session)
    : recorder_(path), stats_dirs_(std::move(stats_dirs)), session_(std::move(session)) {
  // Signals are the main thread's, which forwards them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  try {
    thread_ = std::thread([this] {
      try {
        Run();
      } catch (const std::exception& error) {
        error_ = error.what();
      }
    });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

RecordThread::~RecordThread() { Stop(); }

void RecordThread::Stop(int signal) {
  if (!thread_.joinable()) return;
  signal_ = signal;
  stopping_ = true;
  thread_.join();
}

void RecordThread::Run() {
  constexpr uint64_t kMostNs = 20'000'000;
  while (!stopping_ && recorder_.error().empty()) {
    if (!recorder_.is_attached()) Find();
    const uint64_t wait_ns = std::min(recorder_.Look(), kMostNs);
    // Its file is another's by now; what it maps is asked last.
    if (recorder_.is_attached() && recorder_.HasEnded() && !stopping_) {
      const auto found = FindChildOf(stats_dirs_, session_, getpid());
      if (found) recorder_.Detach(EndReason::kExecuted);
    }
    std::this_thread::sleep_for(std::chrono::nanoseconds(wait_ns));
  }
  recorder_.Detach(EndReason::kEnded, signal_);
  error_ = recorder_.error();
  if (error_.empty() && !recorder_.has_recorded())
    error_ = "the program ended at once, or is not under taskmem";
}

void RecordThread::Find() {
  const auto found = FindChildOf(stats_dirs_, session_, getpid());
  if (found) recorder_.Attach(found->pid, found->path);
}

}  // namespace taskmem
