// forks_amid_threads ENGINE FORKS: threads of an engine's are made while the program forks, and in
// each child, which must not wait for who is not there.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/programs/support/check.h"

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const auto make_thread = reinterpret_cast<void (*)()>(dlsym(library, "MakeThread"));
  REQUIRE(make_thread != nullptr);
  std::atomic<bool> is_over{false};
  std::vector<std::thread> makers;
  for (int i = 0; i < 3; ++i) {
    makers.emplace_back([&] {
      while (!is_over.load()) make_thread();
    });
  }
  for (int forks = atoi(argv[2]); forks > 0; --forks) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      alarm(60);
      make_thread();
      _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  is_over = true;
  for (std::thread& maker : makers) maker.join();
}
