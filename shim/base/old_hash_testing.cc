// A library for loaded_symbols_test.
#include "shim/base/old_hash_testing.h"

extern "C" {
int OldHashOne() { return 1; }
int OldHashTwo() { return 2; }
int old_hash_data = 3;
}
