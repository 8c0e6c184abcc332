// Somebody else has the names that taskmem's directories have: /dev/shm/taskmem-0,
// /var/tmp/taskmem-0. Nobody gets in, and nobody is kept out. Needs root and mount name spaces.
#include "tests/support/command_folder.h"

namespace taskmem::test {
namespace {

class TakenNamesTest : public CommandFolder, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    if (!HasMountSpaces()) GTEST_SKIP() << "needs root and mount name spaces";
    Copy(ProgramPath("privileged"), "program");
  }

  // What takes the name $NAME, before `script`.
  Result Run(const std::string& parent, const std::string& script) const {
    return ShellInMountSpace(
        "mkdir -m 0777 /tmp/planted-$$ && chown 65534:65534 /tmp/planted-$$ && "
        "export PLANTED=/tmp/planted-$$ NAME=" +
        parent +
        "/taskmem-0 && "
        "{ " +
        GetParam() + "; } && " + script +
        "; status=$?; ls -A $PLANTED; [ ! -d $NAME ] || ls -A $NAME; rm -rf $PLANTED; exit "
        "$status");
  }
};

INSTANTIATE_TEST_SUITE_P(
    , TakenNamesTest,
    ::testing::Values("mkdir -m 0700 $NAME && chown 65534:65534 $NAME",
                      "mkdir -m 0777 $NAME && chown 65534:65534 $NAME", "mkdir -m 0777 $NAME",
                      "ln -s $PLANTED $NAME", "ln -s /no/such $NAME", "echo mine > $NAME",
                      "mkfifo $NAME",
                      // The other names, too.
                      "mkdir -m 0777 $NAME && for i in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do "
                      "ln -s $PLANTED $NAME-$i$i$i$i$i$i$i$i$i$i$i$i$i$i$i$i; done"));

TEST_P(TakenNamesTest, BooksAreFoundAllTheSame) {
  const Result result = Run(
      "/dev/shm",
      "{ taskmem run sh -c 'taskmem ps > $FOLDER/ps; taskmem stats $$ > $FOLDER/stats; exit 3'; "
      "test $? = 3; } && cat $FOLDER/ps $FOLDER/stats >&2");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out, "") << result.Describe();
  // The table, ps with the shell, and the shell's table.
  EXPECT_TRUE(result.err.starts_with("taskmem: dash, pid")) << result.Describe();
  EXPECT_NE(result.err.find("  dash "), std::string::npos) << result.Describe();
  EXPECT_NE(result.err.find("\ntaskmem: dash, pid"), std::string::npos) << result.Describe();
}

// All processes use the same directory, and one only.
TEST_P(TakenNamesTest, OneDirectoryIsMade) {
  const Result result =
      Run("/dev/shm",
          "ls -A /dev/shm > $FOLDER/before && { for i in 1 2 3 4 5 6 7 8; do "
          "taskmem run --quiet sh -c 'sh -c true; sh -c true' & done; wait; taskmem ps; "
          "ls -A /dev/shm > $FOLDER/after; comm -13 $FOLDER/before $FOLDER/after; } >&2");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out, "") << result.Describe();
  // Processes that start at once may make one each; what is there then is used from then on.
  EXPECT_NE(result.err.find("taskmem-0-"), std::string::npos) << result.Describe();
}

TEST_P(TakenNamesTest, OverflowGoesToADirectoryOfOnesOwn) {
  const Result result = Run("/var/tmp",
                            "taskmem run --quiet --quota 32M --overflow $FOLDER/program > "
                            "$FOLDER/out && grep ^64 $FOLDER/out >&2");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out, "") << result.Describe();
  // The program's audit is not this test's business.
  EXPECT_EQ(result.err, "taskmem: cannot write /dev/null/nowhere: Not a directory\n64 MiB given\n")
      << result.Describe();
}

}  // namespace
}  // namespace taskmem::test
