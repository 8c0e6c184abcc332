// After main: exit handlers, static destructors and destructor functions
// allocate and free, while another thread still does.
#include <pthread.h>

#include <string>
#include <vector>

#include "tests/programs/support/check.h"

namespace {

void* g_block = nullptr;

struct Static {
  ~Static() {
    REQUIRE(texts.size() == 50 && texts[49].size() == 200);
    texts.assign(1000, std::string(300, 'z'));
  }
  std::vector<std::string> texts = std::vector<std::string>(50, std::string(200, 'x'));
} g_static;

void AtExit() {
  REQUIRE(HasPattern(g_block, 900, 1));
  g_block = realloc(g_block, 1000000);
  REQUIRE(g_block != nullptr && HasPattern(g_block, 900, 1));
}

void OnExit(int status, void* block) {
  REQUIRE(status == 0);
  free(block);
  free(malloc(2000000));
}

__attribute__((destructor)) void Last() {
  REQUIRE(HasPattern(g_block, 900, 1));
  free(g_block);
  free(malloc(100));
}

void* Churn(void*) {
  for (size_t size = 1;; size = size * 7 % 60013) free(malloc(size));
}

}  // namespace

int main() {
  g_block = malloc(900);
  FillPattern(g_block, 900, 1);
  REQUIRE(atexit(AtExit) == 0);
  REQUIRE(on_exit(OnExit, malloc(500)) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, Churn, nullptr) == 0);
}
