// A library that allocates as it is loaded and as it goes.
#include <pthread.h>

#include <string>

#include "tests/programs/support/check.h"

namespace {

void* g_block = nullptr;
std::string* g_text = nullptr;
const std::string g_static(300, 's');

void* Thread(void* argument) {
  free(malloc(70000));
  return argument;
}

__attribute__((constructor(101))) void First() {
  g_block = malloc(2000);
  FillPattern(g_block, 2000, 4);
  g_text = new std::string(500, 't');
  free(calloc(1, 1000000));
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, Thread, nullptr) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
}

__attribute__((destructor)) void Last() {
  REQUIRE(HasPattern(g_block, 2000, 4));
  free(g_block);
  delete g_text;
  free(malloc(100));
}

}  // namespace

// A block for the caller to free.
extern "C" __attribute__((visibility("default"))) void* TakeBlock() {
  void* block = malloc(1234);
  FillPattern(block, 1234, g_static.size() == 300 ? 4 : 0);
  return block;
}
