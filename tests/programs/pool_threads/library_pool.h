// A pool of threads for libraries that stand for engines.
#ifndef TASKMEM_TESTS_PROGRAMS_POOL_THREADS_LIBRARY_POOL_H_
#define TASKMEM_TESTS_PROGRAMS_POOL_THREADS_LIBRARY_POOL_H_

#include <dlfcn.h>
#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tests/programs/pool_threads/unit.h"

class Latch {
 public:
  explicit Latch(int count) : count_(count) {}
  void CountDown() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--count_ == 0) changed_.notify_all();
  }
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_;
};

namespace {

std::mutex g_mutex;
std::condition_variable g_changed;
std::deque<std::function<void()>> g_work;

std::vector<std::thread> g_threads;
bool g_is_ending = false;

void Serve() {
  std::unique_lock<std::mutex> lock(g_mutex);
  for (;;) {
    g_changed.wait(lock, [] { return g_is_ending || !g_work.empty(); });
    if (g_work.empty()) return;
    const std::function<void()> work = std::move(g_work.front());
    g_work.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

void Give(std::function<void()> work) {
  const std::lock_guard<std::mutex> lock(g_mutex);
  g_work.push_back(std::move(work));
  g_changed.notify_one();
}

}  // namespace

#if defined(PAST_TASKMEM)
// By libc's own function, as with RTLD_DEEPBIND; they never end.
extern "C" void StartPool(int threads) {
  void* const libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  const auto create = reinterpret_cast<decltype(&pthread_create)>(dlsym(libc, "pthread_create"));
  for (int i = 0; i < threads; ++i) {
    pthread_t thread;
    const auto serve = [](void*) -> void* { return Serve(), nullptr; };
    if (create(&thread, nullptr, serve, nullptr) != 0) __builtin_trap();
  }
}
#else
extern "C" void StartPool(int threads) {
  g_is_ending = false;
  for (int i = 0; i < threads; ++i) g_threads.emplace_back(Serve);
}
#endif

// Its threads end, before which the library must not be unloaded.
extern "C" void StopPool() {
  {
    const std::lock_guard<std::mutex> lock(g_mutex);
    g_is_ending = true;
    g_changed.notify_all();
  }
  for (std::thread& thread : g_threads) thread.join();
  g_threads.clear();
}

// A thread that does nothing begins and ends.
extern "C" void MakeThread() {
  std::thread([] {}).join();
}

#endif  // TASKMEM_TESTS_PROGRAMS_POOL_THREADS_LIBRARY_POOL_H_
