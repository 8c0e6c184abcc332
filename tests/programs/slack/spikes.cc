// Six times, 24 threads take some 16 MiB in small blocks each and free all of it, three times.
#include "tests/programs/support/spike.h"

int main() {
  for (int i = 0; i < 6; ++i) SpikeInThreads(24, 3);
}
