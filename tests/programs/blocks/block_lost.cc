// What happens to the files of blocks behind the library's back is found out, and reported
// once: nothing torn is ever given to the program. The argument is what happens to them.
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/programs/support/blocks.h"

namespace {

void Damage(const std::string& path, const std::string& how) {
  struct stat status = {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  REQUIRE_COMPARE(status.st_mode & 07777, ==, 0600);
  if (how == "removed") {
    REQUIRE(unlink(path.c_str()) == 0);
  } else if (how == "torn") {
    REQUIRE(truncate(path.c_str(), status.st_size / 2) == 0);
  } else {
    const int fd = open(path.c_str(), O_WRONLY);
    REQUIRE(fd >= 0);
    REQUIRE(pwrite(fd, "#", 1, status.st_size / 2) == 1);
    close(fd);
  }
}

}  // namespace

int main(int, char** argv) {
  const std::string how = argv[1];
  const std::string folder = getenv("TASKMEM_SPILL_DIR");
  REQUIRE_COMPARE(PutPattern("a", kMiB, TASKMEM_DISK_ONLY), ==, 0);
  REQUIRE_COMPARE(PutPattern("b", kMiB, TASKMEM_DISK_ONLY), ==, 0);
  RequirePattern("a", kMiB);
  taskmem_block pinned = Get("b");
  int files = 0;
  ForEachBlockFile(folder, [&](const std::string& path) {
    ++files;
    Damage(path, how);
  });
  REQUIRE_COMPARE(files, ==, 2);
  taskmem_block block = {};
  REQUIRE_COMPARE(taskmem_block_get("a", &block), ==, EIO);
  REQUIRE(block.data == nullptr);
  REQUIRE_COMPARE(taskmem_block_get("a", &block), ==, ENOENT);
  REQUIRE(!Contains("a"));
  REQUIRE_COMPARE(PutPattern("a", 1000, TASKMEM_DISK_ONLY), ==, 0);
  RequirePattern("a", 1000);
  // What was read before is there.
  REQUIRE(HasPattern(pinned.data, kMiB, SeedOf("b")));
  REQUIRE_COMPARE(taskmem_block_release(&pinned), ==, 0);
  REQUIRE_COMPARE(taskmem_block_get("b", &block), ==, EIO);
  return 0;
}
