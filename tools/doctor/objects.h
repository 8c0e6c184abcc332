// The program and the libraries of a process, as an allocator that is preloaded meets them.
#ifndef TASKMEM_TOOLS_DOCTOR_OBJECTS_H_
#define TASKMEM_TOOLS_DOCTOR_OBJECTS_H_

#include <string>
#include <vector>

#include "tools/doctor/doctor.h"
#include "tools/doctor/object_look.h"

namespace taskmem {

std::string BaseName(const std::string& path);

// `objects`: the program first. `name`: of the program.
void CheckObjects(const std::string& name, const std::vector<ObjectLook>& objects,
                  Findings* findings);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_DOCTOR_OBJECTS_H_
