// mappings_child THREADS REGIONS LIVE TOUCH
//
// Maps and unmaps small regions: each thread REGIONS in all, LIVE of them at a time, each
// written to where TOUCH is 1.
#include <pthread.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

namespace {

void Require(bool is_true, const char* what) {
  if (is_true) return;
  perror(what);
  exit(1);
}

int g_regions = 0;
int g_live = 1;
bool g_touches = false;

void* Work(void*) {
  constexpr size_t kBytes = 16384;
  void** const live = static_cast<void**>(calloc(static_cast<size_t>(g_live), sizeof(void*)));
  for (int i = 0; i < g_regions; ++i) {
    void*& place = live[i % g_live];
    if (place != nullptr) Require(munmap(place, kBytes) == 0, "munmap");
    place = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Require(place != MAP_FAILED, "mmap");
    if (g_touches) *static_cast<volatile char*>(place) = 1;
  }
  for (int i = 0; i < g_live; ++i) {
    if (live[i] != nullptr) munmap(live[i], kBytes);
  }
  free(live);
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  Require(argc == 5, "arguments");
  const int threads = atoi(argv[1]);
  g_regions = atoi(argv[2]);
  g_live = atoi(argv[3]);
  g_touches = atoi(argv[4]) != 0;
  Require(threads >= 1 && threads <= 64 && g_live >= 1, "arguments");
  pthread_t started[64];
  for (int i = 0; i < threads; ++i) {
    Require(pthread_create(&started[i], nullptr, Work, nullptr) == 0, "pthread_create");
  }
  for (int i = 0; i < threads; ++i) pthread_join(started[i], nullptr);
}
