// Destructors of thread_local objects allocate and free, also what other
// threads allocated, and hand blocks to the next thread.
#include <string>
#include <thread>
#include <vector>

#include "tests/programs/support/check.h"

namespace {

char* g_left_behind = nullptr;
int g_destroyed = 0;

struct Local {
  ~Local() {
    for (const std::string& text : texts) REQUIRE(text.size() == 500);
    std::vector<std::string> last(100, "allocated in a destructor, long enough to need a block");
    free(g_left_behind);
    g_left_behind = static_cast<char*>(malloc(300000));
    FillPattern(g_left_behind, 1000, 5);
    ++g_destroyed;
  }
  std::vector<std::string> texts;
};

thread_local Local t_early;
thread_local std::vector<Local> t_late;

}  // namespace

int main() {
  for (int i = 0; i < 500; ++i) {
    std::thread([] {
      t_early.texts.assign(20, std::string(500, 'x'));
      t_late.resize(1);
    }).join();
    REQUIRE(HasPattern(g_left_behind, 1000, 5));
  }
  REQUIRE_COMPARE(g_destroyed, ==, 1000);
  free(g_left_behind);
  g_left_behind = nullptr;
}
