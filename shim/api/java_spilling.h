// What of the API's Java face has to do with giving memory back: spill hooks and blocks.
#ifndef TASKMEM_SHIM_API_JAVA_SPILLING_H_
#define TASKMEM_SHIM_API_JAVA_SPILLING_H_

#include "shim/api/jni_table.h"

namespace taskmem {

// Names the methods of io.taskmem.Native that java_spilling.cc has.
void RegisterSpillingNatives(jni::Environment* environment, jni::Object java_class,
                             jni::MethodNames* names);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_API_JAVA_SPILLING_H_
