// The program and the libraries of a process, as an allocator that is preloaded meets them.
#ifndef TASKMEM_TOOLS_DOCTOR_OBJECTS_H_
#define TASKMEM_TOOLS_DOCTOR_OBJECTS_H_

#include <string>
#include <vector>

#include "tools/doctor/doctor.h"
#include "tools/doctor/object_look.h"

namespace taskmem {

enum class WhenLoaded { kAtStart, kNotKnown };

// `objects`: the program first. `name`: of the program.
void CheckObjects(const std::string& name, const std::vector<ObjectLook>& objects, WhenLoaded when,
                  Findings* findings);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_DOCTOR_OBJECTS_H_
