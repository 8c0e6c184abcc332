#include "tests/conformance/steps.h"

namespace taskmem::conformance {

Operation FindOperation(const std::string& op) {
  for (const Operations* operations :
       {&ManagerOperations(), &TaskMemoryOperations(), &UnmanagedOperations(), &StoreOperations(),
        &PartialOperations(), &LockOperations()}) {
    const auto operation = operations->find(op);
    if (operation != operations->end()) return operation->second;
  }
  return nullptr;
}

}  // namespace taskmem::conformance
