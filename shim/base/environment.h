// The variables that the caller of a program sets for it, as far as it may decide.
//
// A privileged program (set-user-ID, set-group-ID, with file capabilities: the kernel says so by
// AT_SECURE) has rights that its caller has not. Were it to read the caller's variables, a plugin,
// a log or a directory of the caller's would be used with these rights. So it reads none, and it
// hands none on, as the loader does with its own: what it starts may not know any more.
#ifndef TASKMEM_SHIM_BASE_ENVIRONMENT_H_
#define TASKMEM_SHIM_BASE_ENVIRONMENT_H_

namespace taskmem {

// Whether the program was started with rights that its caller has not.
bool IsPrivileged();

// The variable's value, nullptr where it is not set, or where `is_privileged`. All variables of
// taskmem are read by this.
const char* EnvironmentVariable(const char* name, bool is_privileged = IsPrivileged());

// At the start of a privileged program: removes every variable whose name begins with TASKMEM_.
// In place: what a thread or main() has of the list stays valid.
void ForgetVariables();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_ENVIRONMENT_H_
