// Tells of hooks that do not return. Where one waits for a lock that the allocating thread holds,
// nobody else would say why the program stands still.
#ifndef TASKMEM_SPILL_HOOKS_HOOK_WATCH_H_
#define TASKMEM_SPILL_HOOKS_HOOK_WATCH_H_

#include <atomic>
#include <cstdint>

#include "accounting/base/mutex.h"
#include "spill/hooks/spill_consumer.h"
#include "spill/hooks/spill_host.h"

namespace taskmem {

// Each call is told of once, to SpillHost::NoteHang: by who waits for it and gives up, or else by
// a thread of this class. That is started by a call for which nobody waits, where there is none,
// and ends within a second or SpillHost::HangNs after the last call that it need not watch.
//
// "Needs the lock" is that of SpillHooks, which guards everything here.
class HookWatch {
 public:
  HookWatch(Mutex& lock, SpillHost& host) : lock_(lock), host_(host) {}
  HookWatch(const HookWatch&) = delete;
  HookWatch& operator=(const HookWatch&) = delete;

  // The consumer's call begins on this thread. True: StartThread is to be called, without the
  // lock. `is_awaited`: somebody waits for it, bounded. Needs the lock.
  bool Begin(SpillConsumer& consumer, bool is_awaited);
  void StartThread();
  // The call is over. Needs the lock.
  void End(SpillConsumer& consumer);

  // False: the call has been told of, or does not run. `waiting_thread`: the id of one that has
  // waited for it, 0: none is known. Needs the lock; the answer is for NoteHang, which needs none.
  bool TakeHang(SpillConsumer& consumer, int waiting_thread, HookHang* hang);

  // Ends the thread and waits for that. For tests.
  void Stop();

  // In a forked child, with the lock held.
  void AfterFork();

 private:
  static void Watch(void* self) { static_cast<HookWatch*>(self)->Watch(); }
  void Watch();

  Mutex& lock_;
  SpillHost& host_;
  SpillConsumer* first_ = nullptr;  // whose calls run and have not been told of
  uint64_t begun_ = 0;
  bool has_thread_ = false;
  bool is_stopped_ = false;
  std::atomic<uint32_t> changes_{0};  // of the last two
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_HOOKS_HOOK_WATCH_H_
