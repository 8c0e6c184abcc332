// A call that changes what is mapped, and the mapping book of the process that makes it: its own,
// once a forked child has made its parent's so.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_MAPPING_CALL_H_
#define TASKMEM_SHIM_MAPPING_BOOK_MAPPING_CALL_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

// Called by the constructor, once there are tasks. Calls before are charged to nobody's task.
void OpenMappings(int64_t residency_interval_ns);

// For fork(): the last lock that is taken.
void AddMappingLocks(class ForkLocks* locks);

// A call that changes what is mapped, from before it looks at the books until they say what it
// did. Where a signal handler forks amid one the child goes on with it in books of its own, which
// are counted anew after it.
extern __thread uint32_t t_mapping_calls __attribute__((tls_model("initial-exec")));

class MappingCall {
 public:
  // Enters the heap, and in a forked child makes the book its own.
  MappingCall();
  ~MappingCall() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    --t_mapping_calls;
  }
  MappingCall(const MappingCall&) = delete;
  MappingCall& operator=(const MappingCall&) = delete;
  // False: there are no books, and there will be none for this call.
  explicit operator bool() const { return has_books_; }

 private:
  bool has_books_;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_MAPPING_CALL_H_
