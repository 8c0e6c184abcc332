// As Arrow has them: closures that are given to a ThreadPool by its virtual SpawnReal.
#include <cstdint>
#include <memory>
#include <utility>

#include "tests/programs/pool_threads/library_pool.h"

namespace arrow {

class Status {
 public:
  Status() = default;
  ~Status() { delete state_; }
  Status(Status&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}

 private:
  int* state_ = nullptr;
};

class StopToken {
 private:
  std::shared_ptr<int> state_ = std::make_shared<int>(1);
};

namespace internal {

struct TaskHints {
  int32_t priority = 1;
  int64_t io_size = 2;
  int64_t cpu_cost = 3;
  int64_t external_id = 4;
};

template <typename Signature>
class FnOnce;

template <typename R, typename... A>
class FnOnce<R(A...)> {
 public:
  FnOnce() = default;
  template <typename Fn>
  FnOnce(Fn fn) : impl_(new FnImpl<Fn>(std::move(fn))) {}  // NOLINT(google-explicit-constructor)
  FnOnce(FnOnce&&) noexcept = default;

  R operator()(A... a) && {
    auto bye = std::move(impl_);
    return bye->invoke(std::forward<A>(a)...);
  }

 private:
  struct Impl {
    virtual ~Impl() = default;
    virtual R invoke(A&&... a) = 0;
  };
  template <typename Fn>
  struct FnImpl : Impl {
    explicit FnImpl(Fn fn) : fn_(std::move(fn)) {}
    R invoke(A&&... a) override { return std::move(fn_)(std::forward<A>(a)...); }
    Fn fn_;
  };
  std::unique_ptr<Impl> impl_;
};

class ThreadPool {
 public:
  virtual ~ThreadPool() = default;

 protected:
  virtual Status SpawnReal(TaskHints hints, FnOnce<void()> task, StopToken token,
                           FnOnce<void(const Status&)>&& callback);
  friend void Spawn(ThreadPool* pool, FnOnce<void()> task);
};

Status ThreadPool::SpawnReal(TaskHints hints, FnOnce<void()> task, StopToken,
                             FnOnce<void(const Status&)>&&) {
  // What lies on the stack has come as it was given.
  if (hints.priority != 1 || hints.external_id != 4) __builtin_trap();
  auto shared = std::make_shared<FnOnce<void()>>(std::move(task));
  Give([shared] { std::move (*shared)(); });
  return {};
}

__attribute__((noinline)) void Spawn(ThreadPool* pool, FnOnce<void()> task) {
  pool->SpawnReal({}, std::move(task), {}, {});
}

}  // namespace internal
}  // namespace arrow

extern "C" void RunQuery(const Unit* units, int count) {
  static arrow::internal::ThreadPool pool;
  Latch latch(count);
  for (int i = 0; i < count; ++i) {
    arrow::internal::ThreadPool* volatile any = &pool;
    arrow::internal::Spawn(any, [unit = units[i], &latch] {
      unit.function(unit.argument);
      latch.CountDown();
    });
  }
  latch.Wait();
}
