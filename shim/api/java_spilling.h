// What of the API's Java face has to do with giving memory back: spill hooks and blocks.
#ifndef TASKMEM_SHIM_API_JAVA_SPILLING_H_
#define TASKMEM_SHIM_API_JAVA_SPILLING_H_

#include "shim/api/jni_table.h"

namespace taskmem {

// Names the methods of io.taskmem.Native that java_spilling.cc has. False: an exception waits.
bool RegisterSpillingNatives(jni::Environment* environment, jni::Object java_class);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_API_JAVA_SPILLING_H_
