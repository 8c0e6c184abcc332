// Whether what a process publishes of its tables (accounting/audit/audit_layout.h) can be true.
// Every offset, size and count of it is judged here; whoever reads through an address of it trusts
// the bounds and nothing else: what lies there may be anything.
#ifndef TASKMEM_TOOLS_REMOTE_AUDIT_LAYOUT_CHECK_H_
#define TASKMEM_TOOLS_REMOTE_AUDIT_LAYOUT_CHECK_H_

#include "accounting/audit/audit_layout.h"

namespace taskmem {

// All of it.
bool IsPlausible(const AuditLayout& layout);

// Parts of it.
bool IsPlausible(const RegionMapLayout& layout);
bool HasPlausibleLibraries(const AuditLayout& layout);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_AUDIT_LAYOUT_CHECK_H_
