// How many pages a fork makes its process touch anew whose child does nothing: the minor faults of
// the parent and of the child, rounded. The argument: how many threads there are beside it.
#include <pthread.h>
#include <sys/resource.h>

#include "tests/programs/support/wait_for.h"

namespace {

constexpr long kForks = 100;

void* Sleep(void*) {
  for (;;) pause();
}

long Faults(int whose) {
  struct rusage usage = {};
  REQUIRE(getrusage(whose, &usage) == 0);
  return usage.ru_minflt;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  for (int i = 0; i < atoi(argv[1]); ++i) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, Sleep, nullptr) == 0);
  }
  FillPattern(static_cast<char*>(malloc(1000)), 1000, 1);
  const long parents = Faults(RUSAGE_SELF);
  const long childrens = Faults(RUSAGE_CHILDREN);
  for (int i = 0; i < kForks; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    RequireChildSucceeds(child);
  }
  const auto each = [](long faults) { return (faults + kForks / 2) / kForks; };
  printf("%ld %ld\n", each(Faults(RUSAGE_SELF) - parents),
         each(Faults(RUSAGE_CHILDREN) - childrens));
  fflush(stdout);
  _exit(0);
}
