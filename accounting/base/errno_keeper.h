// errno as it was.
#ifndef TASKMEM_ACCOUNTING_BASE_ERRNO_KEEPER_H_
#define TASKMEM_ACCOUNTING_BASE_ERRNO_KEEPER_H_

#include <cerrno>

namespace taskmem {

// While it lives errno may change: at its end it is what it was.
class ErrnoKeeper {
 public:
  ErrnoKeeper() : saved_(errno) {}
  ~ErrnoKeeper() { errno = saved_; }
  ErrnoKeeper(const ErrnoKeeper&) = delete;
  ErrnoKeeper& operator=(const ErrnoKeeper&) = delete;

 private:
  const int saved_;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_ERRNO_KEEPER_H_
