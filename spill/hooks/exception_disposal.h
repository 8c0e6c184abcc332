// The end of an exception that nobody caught, for code without a C++ runtime.
#ifndef TASKMEM_SPILL_HOOKS_EXCEPTION_DISPOSAL_H_
#define TASKMEM_SPILL_HOOKS_EXCEPTION_DISPOSAL_H_

struct _Unwind_Exception;

namespace taskmem {

// Destroys the exception as catch (...) {} does, so that std::uncaught_exceptions() is right
// afterwards: by the begin and end of a catch in the C++ runtime that threw it, which need not
// be the program's. Where these cannot be found (a runtime linked statically into a program
// that exports nothing) the exception is destroyed, but that runtime counts it as uncaught
// for ever. Looks symbols up, and runs the exception's destructor.
void DisposeOfException(_Unwind_Exception* exception);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_HOOKS_EXCEPTION_DISPOSAL_H_
