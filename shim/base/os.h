// The operating system, without libc between: raw system calls that neither
// touch errno nor come back through an interposed symbol.
#ifndef TASKMEM_SHIM_BASE_OS_H_
#define TASKMEM_SHIM_BASE_OS_H_

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "accounting/base/futex.h"
#include "accounting/base/kernel_memory.h"
#include "accounting/base/monotonic_ns.h"

namespace taskmem::os {

// Returns the kernel's answer: -errno on failure.
inline long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                 long f = 0) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

inline bool Failed(long result) { return result < 0 && result > -4096; }

// Whether system calls of this process are filtered (seccomp), which may kill it for one that
// the program would not make.
enum class CallFilter : uint8_t {
  kNone,
  kInherited,  // since before the program began: a container's, most often
  kInstalled,  // by the program: from then on the library makes those calls alone that an
               // allocator cannot do without
};
inline std::atomic<CallFilter> g_call_filter{CallFilter::kNone};
inline bool IsFiltered() {
  return __builtin_expect(g_call_filter.load(std::memory_order_relaxed) != CallFilter::kNone, 0);
}
inline bool IsSealed() {
  return __builtin_expect(g_call_filter.load(std::memory_order_relaxed) == CallFilter::kInstalled,
                          0);
}

// Zeroed private memory, or nullptr. Rounded up to 4 KiB by the kernel.
inline void* Map(size_t bytes, int extra_flags = 0, uintptr_t wish = 0) {
  const long result =
      Call(SYS_mmap, static_cast<long>(wish), static_cast<long>(bytes), PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
  return Failed(result) ? nullptr : reinterpret_cast<void*>(result);
}

// The same for what comes while the program runs: out of its way.
inline void* MapApart(size_t bytes, int extra_flags = 0) {
  return Map(bytes, extra_flags, PlaceApart(bytes));
}

inline void Unmap(void* start, size_t bytes) {
  Call(SYS_munmap, reinterpret_cast<long>(start), static_cast<long>(bytes));
}

// A machine may give huge pages unasked: then one byte of a sparse table would take 2 MiB.
inline void UseSmallPages(void* start, size_t bytes) {
  Call(SYS_madvise, reinterpret_cast<long>(start), static_cast<long>(bytes), MADV_NOHUGEPAGE);
}

// The kernel's strict filter forbids the clock as well.
inline std::atomic<bool> g_has_clock{true};

inline uint64_t MonotonicNs() {
  if (!g_has_clock.load(std::memory_order_relaxed)) return 0;
  return static_cast<uint64_t>(taskmem::MonotonicNs());
}

// glibc keeps a thread's id in its control block. Where that was seen at the start, no system
// call is needed in a process whose calls are filtered.
inline int ThreadIdOfControlBlock() {
  constexpr size_t kPlace = 0x2d0;
  int tid;
  __builtin_memcpy(&tid, static_cast<const char*>(__builtin_thread_pointer()) + kPlace,
                   sizeof(tid));
  return tid;
}
inline std::atomic<bool> g_knows_thread_id{false};

inline int ThreadId() {
  if (IsSealed() && g_knows_thread_id.load(std::memory_order_relaxed)) {
    return ThreadIdOfControlBlock();
  }
  return static_cast<int>(Call(SYS_gettid));
}
inline int ProcessId() { return static_cast<int>(Call(SYS_getpid)); }
// As if killed from outside: no handler runs, nothing is flushed.
[[noreturn]] inline void KillThisProcess() {
  for (;;) {
    Call(SYS_kill, ProcessId(), SIGKILL);
    // The first process of a container cannot kill itself.
    Call(SYS_exit_group, 128 + SIGKILL);
  }
}

inline void Yield() {
  if (IsSealed()) {
    __builtin_ia32_pause();
  } else {
    Call(SYS_sched_yield);
  }
}

// How many of the signals that end a process by a fault this thread blocks.
inline int BlockedFatalSignals() {
  if (IsSealed()) return 0;
  uint64_t blocked = 0;
  Call(SYS_rt_sigprocmask, SIG_BLOCK, 0, reinterpret_cast<long>(&blocked), sizeof(blocked));
  constexpr auto bit = [](int signal) { return uint64_t{1} << (signal - 1); };
  return __builtin_popcountll(
      blocked & (bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGFPE) | bit(SIGABRT)));
}

// Whether this thread blocks any signal.
inline bool BlocksSignals() {
  uint64_t blocked = 0;
  Call(SYS_rt_sigprocmask, SIG_BLOCK, 0, reinterpret_cast<long>(&blocked), sizeof(blocked));
  return blocked != 0;
}

// While it lives this thread runs no signal handler, libc's own ones included.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    const uint64_t all = ~uint64_t{0};
    Call(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&all),
         reinterpret_cast<long>(&before_), sizeof(all));
  }
  ~SignalsBlocked() {
    Call(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&before_), 0, sizeof(before_));
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  uint64_t before_ = 0;
};

// Reads a small file of /proc or /sys into `buffer`, NUL-terminated: the kernel gives such a file
// whole at one read. Returns its length, or a negative number.
inline long ReadFile(const char* path, char* buffer, size_t buffer_bytes) {
  const long fd = Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDONLY | O_CLOEXEC);
  if (Failed(fd)) return fd;
  const long got =
      Call(SYS_read, fd, reinterpret_cast<long>(buffer), static_cast<long>(buffer_bytes - 1));
  Call(SYS_close, fd);
  const long length = got > 0 ? got : 0;
  buffer[length] = '\0';
  return length;
}

// What a symbolic link points to, cut and NUL-terminated; empty where it cannot be read.
inline void ReadLink(const char* path, char* buffer, size_t buffer_bytes) {
  const long length = Call(SYS_readlinkat, AT_FDCWD, reinterpret_cast<long>(path),
                           reinterpret_cast<long>(buffer), static_cast<long>(buffer_bytes - 1));
  buffer[length > 0 ? length : 0] = '\0';
}

}  // namespace taskmem::os

#endif  // TASKMEM_SHIM_BASE_OS_H_
