// dlsym and dlerror allocate their messages, from several threads, and in a
// constructor before main.
#include <dlfcn.h>

#include <thread>
#include <vector>

#include "tests/programs/support/check.h"

namespace {

void MissOnce(int i) {
  char name[64];
  snprintf(name, sizeof(name), "no_such_symbol_%d", i);
  REQUIRE(dlsym(RTLD_DEFAULT, name) == nullptr);
  const char* error = dlerror();
  REQUIRE(error != nullptr && strstr(error, name) != nullptr);
  REQUIRE(dlopen("/no/such/library.so", RTLD_NOW) == nullptr);
  REQUIRE(dlerror() != nullptr);
}

__attribute__((constructor)) void BeforeMain() { MissOnce(0); }

}  // namespace

int main() {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 300; ++i) MissOnce(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}
