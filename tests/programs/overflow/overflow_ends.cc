// What happens where overflow comes to an end, or its descriptor is lost.
//   size    --overflow-size leaves too little: refusals, and what was taken is intact
//   part    --overflow-size of N MiB: as good as all of it is used, by large blocks and by small
//   ones file    the limit on file sizes is reached, which is no signal off     there is none:
//   refusals at the quota refuse  memory goes out and comes back all the time, and nothing more may
//   go there kill    the same, and the process is ended closed  the program closes every descriptor
//   and opens files of its own
#include <fcntl.h>
#include <sys/resource.h>

#include <iterator>

#include "tests/programs/support/overflow.h"

namespace {

constexpr uint64_t kQuota = 32 * kMiB;
constexpr size_t kBlock = 4 * kMiB;
constexpr size_t kMost = 64;

Filled blocks[kMost];

size_t TakeUntilRefused(size_t first) {
  for (size_t i = first; i < kMost; ++i) {
    blocks[i] = {static_cast<uint64_t*>(malloc(kBlock)), kBlock, i};
    if (blocks[i].words == nullptr) {
      REQUIRE_COMPARE(errno, ==, ENOMEM);
      return i;
    }
    blocks[i].Fill();
  }
  return kMost;
}

taskmem_task_status Info() {
  taskmem_task_status info = {};
  info.size = sizeof(info);
  REQUIRE(taskmem_task_info(kTask, &info) == 0);
  return info;
}

// Blocks of `size` until nothing more goes to the file: what is there then. All are freed.
uint64_t MostInOverflow(size_t size) {
  static Filled taken[200'000];
  size_t count = 0;
  uint64_t most = 0;
  for (size_t since = 0; since < kQuota;) {  // ordinary memory comes first
    REQUIRE_COMPARE(count, <, std::size(taken));
    taken[count] = {static_cast<uint64_t*>(malloc(size)), size, count};
    if (taken[count].words == nullptr) break;
    taken[count++].Fill();
    const uint64_t now = Info().overflow_bytes;
    since = now > most ? 0 : since + size;
    if (now > most) most = now;
  }
  for (size_t i = 0; i < count; ++i) REQUIRE(taken[i].IsIntact());
  for (size_t i = 0; i < count; ++i) free(taken[i].words);
  return most;
}

// A run has a head of 64 KiB, and what is left of it may be too little for a page.
void UseAllOf(uint64_t file_bytes) {
  for (const size_t size : {size_t{512} << 10, size_t{1000}, size_t{2} * kMiB, size_t{100} << 10}) {
    const uint64_t most = MostInOverflow(size);
    REQUIRE_COMPARE(most, <=, file_bytes);
    REQUIRE_COMPARE(most, >=, file_bytes / 3);
    // What did not fit was never there.
    REQUIRE_COMPARE(Info().peak_overflow_bytes, <=, file_bytes);
  }
  REQUIRE_COMPARE(Usage(kTask).refusals, >=, 1);
}

void CheckAll(size_t count) {
  for (size_t i = 0; i < count; ++i) REQUIRE(blocks[i].IsIntact());
}

}  // namespace

int main(int, char** argv) {
  Begin(kTask, kQuota);
  Attach(kTask);
  size_t count = 0;
  if (strcmp(argv[1], "off") == 0) {
    count = TakeUntilRefused(0);
    REQUIRE_COMPARE(count, <=, kQuota / kBlock);
  } else if (strcmp(argv[1], "refuse") == 0 || strcmp(argv[1], "kill") == 0) {
    constexpr size_t kAlways = kMost - 2 * kQuota / kBlock;
    for (size_t i = 0; i < kAlways; ++i) blocks[i] = Take(kBlock, i);
    while (count != kAlways) {
      CheckAll(kAlways);
      // More than the quota's worth: some of it would go to the file.
      const size_t end = TakeUntilRefused(kAlways);
      for (size_t i = kAlways; i < end; ++i) free(blocks[i].words);
      if (end < kMost) count = kAlways;
    }
  } else if (strcmp(argv[1], "closed") == 0) {
    for (; count < kMost / 2; ++count) blocks[count] = Take(kBlock, count);
    for (int fd = 3; fd < 4096; ++fd) close(fd);
    // Every number there is becomes a file that must stay empty.
    char path[] = "/tmp/overflow_ends_XXXXXX";
    const int own = mkstemp(path);
    REQUIRE(own >= 0);
    REQUIRE(unlink(path) == 0);
    for (int fd = 3; fd < 1024; ++fd) {
      REQUIRE(dup2(own, fd) == fd);
    }
    for (; count < kMost; ++count) blocks[count] = Take(kBlock, count);
    CheckAll(count);
    REQUIRE_COMPARE(lseek(own, 0, SEEK_END), ==, 0);
    REQUIRE_COMPARE(Usage(kTask).refusals, ==, 0);
  } else if (strcmp(argv[1], "part") == 0) {
    UseAllOf(strtoull(argv[2], nullptr, 10) * kMiB);
  } else {
    if (strcmp(argv[1], "file") == 0) {
      const struct rlimit limit = {rlim_t{64} * kMiB, RLIM_INFINITY};
      REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    count = TakeUntilRefused(0);
    // The quota's worth at least, and some of the file.
    REQUIRE_COMPARE(count, >, kQuota / kBlock);
    REQUIRE_COMPARE(count, <, kMost);
    REQUIRE_COMPARE(Usage(kTask).refusals, >=, 1);
    // Small blocks go on: they overdraw.
    for (int i = 0; i < 10'000; ++i) REQUIRE(malloc(100) != nullptr);
    CheckAll(count);
    // What is given back can be taken again.
    free(blocks[count - 1].words);
    blocks[count - 1] = Take(kBlock, count - 1);
    CheckAll(count);
  }
  RequireBooksMatchPages();
  for (size_t i = 0; i < count; ++i) free(blocks[i].words);
  RequireBooksMatchPages();
  return 0;
}
