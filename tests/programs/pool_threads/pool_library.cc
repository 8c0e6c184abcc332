// A library with a pool of threads, made by libstdc++ for it, which does whatever is given to it.
#include "tests/programs/pool_threads/library_pool.h"

extern "C" void GivePool(void (*function)(void*), void* argument) {
  Give([=] { function(argument); });
}
