// What others ask a running process to change, and its answer: a part of its stats segment
// (stats_layout.h). The process carries it out itself, when one of its threads comes by.
//
//   state     from        to          by
//             idle        asked       a command, which has written the request before
//             answered    asked       the same
//             asked       taken       one thread of the process, which then copies the request
//             asked       idle        the command: nobody took it in time, and nobody will
//             taken       answered    that thread, which has written the answer before
//
// Each by a compare-exchange, so that one of two has its way. A command holds the lock of the file
// (flock) from before it writes until it has the answer: commands exclude each other, and what one
// that was killed left behind is the next one's to take back, or to await.
//
// Who may write: those who may write the file, which are its user and root. Nothing there is
// believed: the thread copies each field once and checks the copy, and what it does is what a
// thread of the program could do by the API (taskmem.h) and its user by the program's variables. A
// word that is no state is as good as idle.
#ifndef TASKMEM_ACCOUNTING_AUDIT_PROCESS_REQUEST_H_
#define TASKMEM_ACCOUNTING_AUDIT_PROCESS_REQUEST_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

enum class RequestState : uint32_t { kIdle = 0, kAsked = 1, kTaken = 2, kAnswered = 3 };

enum class ChangeKind : uint32_t {
  kTaskQuota = 1,  // `bytes`, kNoQuota: none
  kMemory = 2,     // --memory: `bytes`, UINT64_MAX: no limit
  kTaskSpill = 3,  // `bytes` at least, UINT64_MAX: all it has
  kAtLimit = 4,    // `bytes` is an AtLimit
};

// On cache lines of their own: the state is read at each entry of malloc's slow path.
struct alignas(64) ProcessRequest {
  std::atomic<RequestState> state;
  // The request.
  std::atomic<ChangeKind> kind;
  std::atomic<uint64_t> task;
  std::atomic<uint64_t> bytes;
  // The answer. 0 or an errno value; with one nothing was changed.
  //   EINVAL  no such kind, or a value out of range    ENOENT  no live task has this id
  //   ENOSYS  nobody has registered a spill hook       EBUSY   another spill is under way
  //   ENOMEM  no thread could be started               EINTR   a hook has ended the thread
  std::atomic<uint32_t> error;
  uint32_t reserved;
  std::atomic<uint64_t> before;  // the value that was in force; of a spill what the task held
  std::atomic<uint64_t> held;    // by the task now; of --memory what is taken of it
};
static_assert(sizeof(ProcessRequest) == 64);

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_PROCESS_REQUEST_H_
