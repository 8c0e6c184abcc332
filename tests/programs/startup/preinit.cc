// Allocation before any constructor: in the executable's preinit array.
#include <string>

#include "tests/programs/support/check.h"

namespace {

void* g_early = nullptr;
void* g_large = nullptr;

void Preinit(int, char**, char**) {
  g_early = realloc(malloc(100), 5000);
  FillPattern(g_early, 5000, 1);
  g_large = calloc(1, 3000000);
  free(malloc(40));
}

__attribute__((section(".preinit_array"), used)) void (*g_preinit)(int, char**, char**) = Preinit;

const std::string g_constructed(1000, 'c');

__attribute__((destructor)) void Last() {
  REQUIRE(HasPattern(g_early, 5000, 1));
  free(g_early);
}

}  // namespace

int main() {
  REQUIRE(g_constructed.size() == 1000);
  REQUIRE(HasPattern(g_early, 5000, 1));
  g_large = realloc(g_large, 6000000);
  REQUIRE(g_large != nullptr && static_cast<char*>(g_large)[2999999] == 0);
  free(g_large);
}
