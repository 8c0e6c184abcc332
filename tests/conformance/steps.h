// The operations of traces.
#ifndef TASKMEM_TESTS_CONFORMANCE_STEPS_H_
#define TASKMEM_TESTS_CONFORMANCE_STEPS_H_

#include <map>
#include <string>

#include "tests/conformance/json.h"
#include "tests/conformance/spark_errors.h"
#include "tests/conformance/step_run.h"
#include "tests/conformance/world.h"

namespace taskmem::conformance {

// Performs an operation on `in` of its step. Throws where the step makes no sense.
using Operation = Outcome (*)(World& world, StepRun& run, const Json& in);
using Operations = std::map<std::string, Operation>;

const Operations& LockOperations();
const Operations& ManagerOperations();
const Operations& PartialOperations();
const Operations& StoreOperations();
const Operations& TaskMemoryOperations();
const Operations& UnmanagedOperations();

// nullptr: there is none. "interrupt" is the replay's own.
Operation FindOperation(const std::string& op);

// Lines that stand alone. `header` is the trace's.
using ConfigOperation = Outcome (*)(const Json& header, const Json& in);
using ConfigOperations = std::map<std::string, ConfigOperation>;

const ConfigOperations& LevelOperations();

// nullptr: there is none.
ConfigOperation FindConfigOperation(const std::string& op);

inline Outcome Answer(Json res) { return {std::move(res), nullptr}; }

inline Outcome Failure(const MemoryError& error, Caller caller) {
  return {nullptr, SparkError(error, caller)};
}

template <typename T>
Outcome AnswerOrFailure(const Result<T>& result, Caller caller) {
  return result.ok() ? Answer(*result) : Failure(result.error(), caller);
}

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_STEPS_H_
