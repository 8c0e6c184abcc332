// Allocates a little. For runs in which something else allocates before main.
#include <string>
#include <vector>

#include "tests/programs/support/check.h"

int main() {
  std::vector<std::string> texts(100, std::string(100, 'x'));
  REQUIRE(texts.back().size() == 100);
  free(malloc(1000000));
}
