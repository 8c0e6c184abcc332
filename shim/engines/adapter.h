// Adapters: how an engine's own unit of work is carried to the task that it is done for.
//
// An engine hands work to the threads of its pool in pieces, through one function. An adapter
// stands between: it notes for whose query a piece was made, and gives the thread that does it
// this task for the time (pool_threads.h). Each is one file with one row in the table of
// engines.cc. What does not look as it expects it leaves as it is, and says why: then the pool's
// threads work for whoever is active alone.
#ifndef TASKMEM_SHIM_ENGINES_ADAPTER_H_
#define TASKMEM_SHIM_ENGINES_ADAPTER_H_

#include <link.h>

#include "shim/code/word_patch.h"

namespace taskmem {

struct EngineAdapter {
  const char* engine;  // as logs and tables call it
  // By the name of the library's file.
  bool (*is_for)(const char* base);
  // For a library that is relocated, while no other is attached. nullptr, and `mark` receives one
  // of the words that were changed; or why it is left as it is: then nothing of it was changed.
  const char* (*attach)(const link_map& library, WordChange* mark);
};

extern const EngineAdapter kDuckDbAdapter;
extern const EngineAdapter kArrowAdapter;

}  // namespace taskmem

#endif  // TASKMEM_SHIM_ENGINES_ADAPTER_H_
