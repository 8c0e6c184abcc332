// Words of traces for values of the library.
#ifndef TASKMEM_TESTS_CONFORMANCE_TEXT_H_
#define TASKMEM_TESTS_CONFORMANCE_TEXT_H_

#include <cstdint>

#include "accounting/memory/memory_mode.h"
#include "spill/names/block_id.h"
#include "tests/conformance/json.h"

namespace taskmem::conformance {

// "ON_HEAP" or "OFF_HEAP".
const char* NameOf(MemoryMode mode);
// Throws TraceError.
MemoryMode ModeOf(const Json& name);

// Throws TraceError.
BlockId BlockIdOf(const Json& name);

// A size of a setting: a number, or Spark's text of one ("449m"). Throws TraceError.
int64_t SizeOf(const Json& setting);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_TEXT_H_
