// charge_child THREADS TASKS BLOCKS MAX_BYTES: every thread works for every
// task in turn and allocates BLOCKS blocks for it, 16 bytes to MAX_BYTES, sizes
// spread evenly over the powers of two. What is live, resident and charged is
// printed at four moments (charge_protocol.h).
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "shim/taskmem.h"
#include "tests/bench/charge_protocol.h"
#include "tests/bench/workload.h"

namespace taskmem::bench {
namespace {

// Above any process id: the id of the task that the process itself is.
constexpr uint64_t kFirstTask = uint64_t{1} << 40;
constexpr uint64_t kQuotaBytes = uint64_t{64} << 30;
constexpr uint64_t kFreers = 4;
constexpr uint64_t kOwnerSample = 16;  // one block in this many

struct Block {
  char* data;
  uint64_t bytes;
};

struct Row {
  uint64_t threads;
  uint64_t tasks;
  uint64_t blocks;
  uint64_t max_bytes;
  // blocks[(thread * tasks + task) * row.blocks + i], mapped, not allocated: the
  // record must not be part of what it records.
  Block* record;
  uint64_t count() const { return threads * tasks * blocks; }
};

Row g_row;
pthread_barrier_t g_barrier;

void Wait() { pthread_barrier_wait(&g_barrier); }

// Exact, unlike statm, whose counters the kernel keeps per CPU. No allocation.
uint64_t ResidentBytes() {
  char text[4096];
  const int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
  const ssize_t length = read(file, text, sizeof(text) - 1);
  close(file);
  if (length <= 0) std::abort();
  text[length] = '\0';
  return strtoull(std::strstr(text, "Rss:") + 4, nullptr, 10) * 1024;
}

// Which half of the blocks other threads free.
bool InFirstHalf(uint64_t index) { return (Random(index).Next() & 1) != 0; }

void Free(Block* block) {
  free(block->data);
  block->data = nullptr;
}

uint64_t LiveBytes() {
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < g_row.count(); ++i) {
    if (g_row.record[i].data != nullptr) bytes += g_row.record[i].bytes;
  }
  return bytes;
}

uint64_t ChargedBytes() {
  uint64_t sum = 0;
  for (uint64_t task = 0; task < g_row.tasks; ++task) {
    taskmem_usage usage;
    if (taskmem_task_usage(kFirstTask + task, &usage) != 0) return kNoAnswer;
    sum += usage.charged_bytes;
  }
  return sum;
}

uint64_t WrongOwners() {
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < g_row.count(); i += kOwnerSample) {
    const Block& block = g_row.record[i];
    if (block.data == nullptr) continue;
    uint64_t owner;
    const int error = taskmem_owner_of(block.data + block.bytes / 2, &owner);
    if (error == ENOSYS) return 0;
    if (error != 0 || owner != kFirstTask + i / g_row.blocks % g_row.tasks) ++wrong;
  }
  return wrong;
}

void Report(const char* phase, uint64_t charged, uint64_t baseline) {
  const uint64_t resident = ResidentBytes();
  char line[256];
  const int length =
      std::snprintf(line, sizeof(line), kPhaseLine, phase, LiveBytes(),
                    resident > baseline ? resident - baseline : 0, charged, WrongOwners());
  // Not printf: its buffer is a block, too.
  if (write(STDOUT_FILENO, line, static_cast<size_t>(length)) != length) std::abort();
}

// Time for whatever an allocator does a while after a free, the same for all.
void Settle() {
  const timespec time = {0, 200'000'000};
  nanosleep(&time, nullptr);
}

// A stack that grows later would look like the allocator's memory.
void TouchStack() {
  char room[32 * 1024];
  std::memset(room, 1, sizeof(room));
  Escape(room);
}

void Allocate(uint64_t thread) {
  Random random(thread + 1);
  const double spread = std::log2(static_cast<double>(g_row.max_bytes) / kMinBlockBytes);
  for (uint64_t turn = 0; turn < g_row.tasks; ++turn) {
    // Each thread begins with another task, so that they do not march in step.
    const uint64_t task = (turn + thread * 7) % g_row.tasks;
    taskmem_thread_attach(kFirstTask + task);
    Block* blocks = g_row.record + (thread * g_row.tasks + task) * g_row.blocks;
    for (uint64_t i = 0; i < g_row.blocks; ++i) {
      const double exponent = spread * static_cast<double>(random.Below(1 << 20)) / (1 << 20);
      const auto bytes = static_cast<uint64_t>(kMinBlockBytes * std::exp2(exponent));
      blocks[i] = {static_cast<char*>(malloc(bytes)), bytes};
      if (blocks[i].data == nullptr) std::abort();
      std::memset(blocks[i].data, 0x5a, bytes);
    }
  }
}

void FreeOwn(uint64_t thread) {
  const uint64_t each = g_row.tasks * g_row.blocks;
  for (uint64_t i = thread * each; i < (thread + 1) * each; ++i) {
    if (g_row.record[i].data != nullptr) Free(&g_row.record[i]);
  }
}

// The barrier's moments, the same in Worker, Freer and main: threads exist,
// tasks exist, allocated, reported, half freed, reported, all freed, reported.
void Worker(uint64_t thread) {
  TouchStack();
  Wait();
  Wait();
  Allocate(thread);
  for (int moment = 0; moment < 4; ++moment) Wait();
  FreeOwn(thread);
  Wait();
  Wait();
}

void Freer(uint64_t freer) {
  TouchStack();
  for (int moment = 0; moment < 4; ++moment) Wait();
  for (uint64_t i = freer; i < g_row.count(); i += kFreers) {
    if (InFirstHalf(i)) Free(&g_row.record[i]);
  }
  for (int moment = 0; moment < 4; ++moment) Wait();
}

uint64_t EndTasks() {
  uint64_t sum = 0;
  for (uint64_t task = 0; task < g_row.tasks; ++task) {
    taskmem_usage usage;
    if (taskmem_task_end(kFirstTask + task, &usage) != 0) return kNoAnswer;
    sum += usage.charged_bytes;
  }
  return sum;
}

void RunRow() {
  const size_t record_bytes = g_row.count() * sizeof(Block);
  void* record = mmap(nullptr, record_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (record == MAP_FAILED) std::abort();
  g_row.record = static_cast<Block*>(record);
  pthread_barrier_init(&g_barrier, nullptr, static_cast<unsigned>(g_row.threads + kFreers + 1));
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < g_row.threads; ++i) threads.emplace_back(Worker, i);
  for (uint64_t i = 0; i < kFreers; ++i) threads.emplace_back(Freer, i);
  TouchStack();
  ResidentBytes();
  Wait();  // threads exist
  const uint64_t baseline = ResidentBytes();
  const taskmem_options options = {sizeof(options), kQuotaBytes, "charge"};
  for (uint64_t task = 0; task < g_row.tasks; ++task) {
    taskmem_task_begin(kFirstTask + task, &options);
  }
  Wait();  // tasks exist
  for (const char* phase : {kAllLive, kHalfFreed, kAllFreed}) {
    Wait();  // done
    Settle();
    Report(phase, ChargedBytes(), baseline);
    Wait();  // reported
  }
  for (std::thread& thread : threads) thread.join();
  Report(kTasksEnded, EndTasks(), baseline);
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using taskmem::bench::g_row;
  if (argc != 5) return 2;
  g_row.threads = strtoull(argv[1], nullptr, 10);
  g_row.tasks = strtoull(argv[2], nullptr, 10);
  g_row.blocks = strtoull(argv[3], nullptr, 10);
  g_row.max_bytes = strtoull(argv[4], nullptr, 10);
  taskmem::bench::RunRow();
  return 0;
}
