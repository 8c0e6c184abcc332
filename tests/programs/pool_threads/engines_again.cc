// engines_again NAMED ENGINE COPY: libraries of an engine's name come, go and come again. The first
// has nothing but the name; the others are one engine by two paths, of which one at a time is an
// adapter's: the threads of its pool work for the query's task, whoever else is active.
#include <dlfcn.h>

#include <thread>

#include "tests/programs/pool_threads/unit.h"
#include "tests/programs/support/tasks.h"

namespace {

constexpr uint64_t kOther = kTask + 1;
constexpr int kUnits = 20;

void Allocate(void* block) { *static_cast<void**>(block) = malloc(100); }

class Engine {
 public:
  explicit Engine(const char* path) : path_(path), library_(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    REQUIRE(library_ != nullptr);
  }
  ~Engine() {
    REQUIRE(dlclose(library_) == 0);
    REQUIRE(dlopen(path_, RTLD_NOW | RTLD_NOLOAD) == nullptr);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void StartAndStop() const {
    Call<void (*)(int)>("StartPool")(2);
    Call<void (*)()>("StopPool")();
  }

  // A task's query does its work while the program's thread is another's.
  bool WorksForTheQuery() const {
    Attach(kOther);
    Call<void (*)(int)>("StartPool")(2);
    void* blocks[kUnits] = {};
    const auto run = Call<void (*)(const Unit*, int)>("RunQuery");
    std::thread query([&] {
      Attach(kTask);
      Unit units[kUnits];
      for (int i = 0; i < kUnits; ++i) units[i] = {Allocate, &blocks[i]};
      run(units, kUnits);
      Detach();
    });
    query.join();
    Call<void (*)()>("StopPool")();
    int count = 0;
    for (void* block : blocks) {
      REQUIRE(block != nullptr);
      if (OwnerOf(block) == kTask) ++count;
      free(block);
    }
    REQUIRE(count == 0 || count == kUnits);
    Detach();
    return count == kUnits;
  }

 private:
  template <typename Function>
  Function Call(const char* name) const {
    auto* const function = reinterpret_cast<Function>(dlsym(library_, name));
    REQUIRE(function != nullptr);
    return function;
  }

  const char* path_;
  void* library_;
};

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 3);
  Begin(kTask);
  Begin(kOther);
  const Engine named(argv[1]);
  for (int i = 0; i < 3; ++i) named.StartAndStop();
  {
    const Engine copy(argv[3]);
    {
      const Engine engine(argv[2]);
      REQUIRE(engine.WorksForTheQuery());
      for (int i = 0; i < 3; ++i) REQUIRE(!copy.WorksForTheQuery());
      REQUIRE(engine.WorksForTheQuery());
    }
    REQUIRE(copy.WorksForTheQuery());
  }
  for (int i = 0; i < 3; ++i) {
    for (const char* path : {argv[2], argv[2], argv[3]}) {
      const Engine engine(path);
      REQUIRE(engine.WorksForTheQuery());
    }
  }
  End(kOther);
  End(kTask);
}
