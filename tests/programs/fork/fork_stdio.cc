// A thread forks while others are inside stdio: some hold a FILE and read lines into memory they
// have to allocate, some want every FILE there is (fflush), some open and close. The child has a
// stdio and an allocator that work.
#include <pthread.h>

#include <atomic>

#include "tests/programs/support/wait_for.h"

namespace {

constexpr size_t kLine = 300'000;
constexpr int kForks = 150;
char g_file[] = "/tmp/fork_stdio_XXXXXX";
std::atomic<bool> g_done{false};

void ReadAll() {
  FILE* const file = fopen(g_file, "r");
  REQUIRE(file != nullptr);
  char* line = nullptr;
  size_t size = 0;
  int lines = 0;
  while (getline(&line, &size, file) > 0) ++lines;
  REQUIRE(lines == 4);
  free(line);
  fclose(file);
}

void* Reader(void*) {
  while (!g_done) ReadAll();
  return nullptr;
}

void* Flusher(void*) {
  while (!g_done) fflush(nullptr);
  return nullptr;
}

}  // namespace

int main() {
  alarm(100);
  const int fd = mkstemp(g_file);
  REQUIRE(fd >= 0);
  char* const line = static_cast<char*>(malloc(kLine));
  memset(line, 'x', kLine);
  line[kLine - 1] = '\n';
  for (int i = 0; i < 4; ++i) REQUIRE(write(fd, line, kLine) == kLine);
  pthread_t threads[6];
  for (int i = 0; i < 6; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, i < 2 ? Flusher : Reader, nullptr) == 0);
  }
  for (int i = 0; i < kForks; ++i) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      LimitChild();
      if (i % 10 == 0) ReadAll();
      _exit(0);
    }
    RequireChildSucceeds(child);
  }
  g_done = true;
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  unlink(g_file);
}
