#include "spill/hooks/hook_call.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

namespace taskmem {
namespace {

HookCall CallOf(SpillCallback callback, void* context = nullptr) {
  HookCall call = {};
  call.callback = callback;
  call.context = context;
  call.bytes_needed = 100;
  call.trigger = 7;
  return call;
}

TEST(HookCallTest, PassesArgumentsAndReturns) {
  uint64_t seen = 0;
  HookCall call = CallOf(
      [](void* context, uint64_t bytes, uint64_t trigger) {
        *static_cast<uint64_t*>(context) = bytes + trigger;
        return uint64_t{42};
      },
      &seen);
  CallHook(call);
  EXPECT_EQ(seen, 107u);
  EXPECT_EQ(call.returned, 42u);
  EXPECT_FALSE(call.has_thrown);
}

// Throws with a live object on the stack that must be destroyed.
uint64_t Throwing(void* context, uint64_t, uint64_t) {
  struct Guard {
    int* destroyed;
    ~Guard() { ++*destroyed; }
  };
  const Guard guard = {static_cast<int*>(context)};
  throw std::runtime_error(std::string(1000, 'x'));
}

TEST(HookCallTest, CatchesWhatIsThrown) {
  int destroyed = 0;
  for (int i = 0; i < 1000; ++i) {
    HookCall call = CallOf(Throwing, &destroyed);
    CallHook(call);
    EXPECT_TRUE(call.has_thrown);
    ASSERT_EQ(std::uncaught_exceptions(), 0);
    ASSERT_EQ(std::current_exception(), nullptr);
  }
  EXPECT_EQ(destroyed, 1000);
}

TEST(HookCallTest, DestroysTheExceptionOnce) {
  struct Thrown {
    std::shared_ptr<int> held;
  };
  auto held = std::make_shared<int>(1);
  HookCall call = CallOf(
      [](void* context, uint64_t, uint64_t) -> uint64_t {
        throw Thrown{*static_cast<std::shared_ptr<int>*>(context)};
      },
      &held);
  CallHook(call);
  EXPECT_TRUE(call.has_thrown);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(HookCallTest, RethrownExceptionsKeepTheirOwner) {
  std::exception_ptr kept = std::make_exception_ptr(std::runtime_error("kept"));
  HookCall call = CallOf(
      [](void* context, uint64_t, uint64_t) -> uint64_t {
        std::rethrow_exception(*static_cast<std::exception_ptr*>(context));
      },
      &kept);
  CallHook(call);
  EXPECT_TRUE(call.has_thrown);
  EXPECT_THROW(std::rethrow_exception(kept), std::runtime_error);
}

// The call is made by a destructor while another exception is on its way.
TEST(HookCallTest, WorksWhileAnExceptionIsInFlight) {
  struct CallsAtItsEnd {
    int* destroyed;
    ~CallsAtItsEnd() {
      EXPECT_EQ(std::uncaught_exceptions(), 1);
      HookCall call = CallOf(Throwing, destroyed);
      CallHook(call);
      EXPECT_TRUE(call.has_thrown);
      EXPECT_EQ(std::uncaught_exceptions(), 1);
    }
  };
  int destroyed = 0;
  std::string caught;
  try {
    const CallsAtItsEnd calls = {&destroyed};
    throw std::runtime_error("outer");
  } catch (const std::exception& error) {
    caught = error.what();
  }
  EXPECT_EQ(caught, "outer");
  EXPECT_EQ(std::uncaught_exceptions(), 0);
}

TEST(HookCallTest, Nests) {
  HookCall call = CallOf([](void*, uint64_t, uint64_t) -> uint64_t {
    int destroyed = 0;
    HookCall inner = CallOf(Throwing, &destroyed);
    CallHook(inner);
    if (!inner.has_thrown || destroyed != 1) return 0;
    throw 5;
  });
  CallHook(call);
  EXPECT_TRUE(call.has_thrown);
}

struct EndingThread {
  SpillCallback callback;
  bool has_ended = false;
  bool has_returned = false;
};

void* RunEndingThread(void* packed) {
  auto* thread = static_cast<EndingThread*>(packed);
  HookCall call = CallOf(thread->callback);
  call.thread_ended = [](void* ended) { *static_cast<bool*>(ended) = true; };
  call.thread_ended_argument = &thread->has_ended;
  CallHook(call);
  thread->has_returned = true;
  pthread_testcancel();
  return nullptr;
}

TEST(HookCallTest, AThreadMayEndInside) {
  EndingThread thread = {[](void*, uint64_t, uint64_t) -> uint64_t { pthread_exit(nullptr); }};
  pthread_t id;
  ASSERT_EQ(pthread_create(&id, nullptr, RunEndingThread, &thread), 0);
  pthread_join(id, nullptr);
  EXPECT_TRUE(thread.has_ended);
  EXPECT_FALSE(thread.has_returned);
}

// AddressSanitizer takes the stack of a thread that is cancelled for one that still runs.
#ifdef __SANITIZE_ADDRESS__
#define SKIP_WHERE_CANCELLATION_IS_UNKNOWN() GTEST_SKIP()
#else
#define SKIP_WHERE_CANCELLATION_IS_UNKNOWN() ((void)0)
#endif

TEST(HookCallTest, CancellationWaitsForTheHooksEnd) {
  SKIP_WHERE_CANCELLATION_IS_UNKNOWN();
  EndingThread thread = {[](void*, uint64_t, uint64_t) -> uint64_t {
    pthread_cancel(pthread_self());
    pthread_testcancel();
    return 0;
  }};
  pthread_t id;
  ASSERT_EQ(pthread_create(&id, nullptr, RunEndingThread, &thread), 0);
  void* result = nullptr;
  pthread_join(id, &result);
  EXPECT_FALSE(thread.has_ended);
  EXPECT_TRUE(thread.has_returned);
  EXPECT_EQ(result, PTHREAD_CANCELED);
}

TEST(HookCallTest, AHookThatAllowsItsCancellationIsCleanedUpAfter) {
  SKIP_WHERE_CANCELLATION_IS_UNKNOWN();
  EndingThread thread = {[](void*, uint64_t, uint64_t) -> uint64_t {
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, nullptr);
    pthread_cancel(pthread_self());
    pthread_testcancel();
    return 0;
  }};
  pthread_t id;
  ASSERT_EQ(pthread_create(&id, nullptr, RunEndingThread, &thread), 0);
  pthread_join(id, nullptr);
  EXPECT_TRUE(thread.has_ended);
  EXPECT_FALSE(thread.has_returned);
}

}  // namespace
}  // namespace taskmem
