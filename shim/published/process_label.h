// What a process is called, beside its program: TASKMEM_LABEL, taskmem_set_label.
#ifndef TASKMEM_SHIM_PUBLISHED_PROCESS_LABEL_H_
#define TASKMEM_SHIM_PUBLISHED_PROCESS_LABEL_H_

namespace taskmem {

// Cut at 63 bytes. False: another thread is setting it.
bool SetProcessLabel(const char* label);

// Empty: there is none. Stays as it is until the label was set twice more.
const char* ProcessLabel();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_PROCESS_LABEL_H_
