// Books that are not where one looks first: of a process that has executed something in another
// root or without taskmem, or for which there was no place. Needs root and mount name spaces.
#include "tests/support/command_folder.h"

namespace taskmem::test {
namespace {

// What a table says of the program that holds 70 MiB, at its peak and now.
constexpr char kTable[] = "  holder     70.0 MiB  70.0 MiB\n";

class BooksElsewhereTest : public CommandFolder {
 protected:
  void SetUp() override {
    if (!HasMountSpaces()) GTEST_SKIP() << "needs root and mount name spaces";
    Copy(ProgramPath("holder"), "holder");
    Copy(ProgramPath("privileged"), "asker");
  }

  // `script` with a root at $ROOT that has a /dev/shm of its own.
  Result ShellWithRoot(const std::string& script) const {
    return ShellInMountSpace(
        "export ROOT=$FOLDER/root && mkdir $ROOT && mount --rbind / $ROOT && "
        "mount -t tmpfs none $ROOT/dev/shm && mkfifo $FOLDER/ready && " +
        script);
  }
};

TEST_F(BooksElsewhereTest, OfAProcessThatEnteredAnotherRoot) {
  const Result result = ShellWithRoot(
      "{ LD_PRELOAD=$FOLDER/libtaskmem.so chroot $ROOT $FOLDER/holder $FOLDER/ready & }; "
      "read line < $FOLDER/ready; taskmem stats $!; taskmem ps; taskmem audit $!; kill -9 $!");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_TRUE(result.out.starts_with("taskmem: holder, pid ")) << result.Describe();
  EXPECT_NE(result.out.find(kTable), std::string::npos) << result.Describe();
  EXPECT_NE(result.out.find("  holder   70.1 MiB"), std::string::npos) << result.Describe();
  EXPECT_NE(result.out.find("taskmem: audit of holder"), std::string::npos) << result.Describe();
  EXPECT_EQ(result.out.find("chroot"), std::string::npos) << result.Describe();
}

TEST_F(BooksElsewhereTest, OfAProcessThatWasNeverElsewhere) {
  const Result result = ShellWithRoot(
      "{ chroot $ROOT env LD_PRELOAD=$FOLDER/libtaskmem.so $FOLDER/holder $FOLDER/ready & }; "
      "read line < $FOLDER/ready; taskmem stats $!; taskmem audit $!; kill -9 $!");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.out.find(kTable), std::string::npos) << result.Describe();
  EXPECT_NE(result.out.find("taskmem: audit of holder"), std::string::npos) << result.Describe();
}

// Root sees the books of other users' processes, where they are that user's.
TEST_F(BooksElsewhereTest, OfAnotherUsersProcess) {
  const Result result = ShellInMountSpace(
      "mkfifo -m 0666 $FOLDER/ready; "
      "{ setpriv --reuid 65534 --regid 65534 --clear-groups env "
      "LD_PRELOAD=$FOLDER/libtaskmem.so $FOLDER/holder $FOLDER/ready & }; "
      "read line < $FOLDER/ready; taskmem ps; taskmem stats $!; taskmem audit $!; kill -9 $!");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.out.find("  holder   70.1 MiB"), std::string::npos) << result.Describe();
  EXPECT_NE(result.out.find(kTable), std::string::npos) << result.Describe();
  EXPECT_NE(result.out.find("taskmem: audit of holder"), std::string::npos) << result.Describe();
}

// What a user writes of another user's process, or gives another's name, is not believed; and
// neither waits nor fails.
TEST_F(BooksElsewhereTest, OfAnotherUsersMaking) {
  const Result result = ShellInMountSpace(
      "mkfifo -m 0666 $FOLDER/ready; as() { user=$1; shift; setpriv --reuid $user --regid $user "
      "--clear-groups \"$@\"; }; "
      "{ LD_PRELOAD=$FOLDER/libtaskmem.so $FOLDER/holder $FOLDER/ready & }; "
      "read line < $FOLDER/ready; mine=$(echo /dev/shm/taskmem-0/*); name=${mine##*/}; "
      // A copy of root's books, a link to them, a pipe, an endless file, books with two names.
      "for i in 1 2 3 4 5; do as $i mkdir -m 0700 /dev/shm/taskmem-$i; done; "
      "cp --sparse=always $mine /dev/shm/taskmem-1/$name; chown 1:1 /dev/shm/taskmem-1/$name; "
      "as 2 ln -s $mine /dev/shm/taskmem-2/$name; as 3 mkfifo /dev/shm/taskmem-3/$name; "
      "as 4 truncate -s 1T /dev/shm/taskmem-4/$name; as 4 ln -s / /dev/shm/taskmem-4/$$-1; "
      "cp --sparse=always $mine /dev/shm/taskmem-5/$name; "
      // A folder of another's name.
      "as 6 mkdir -m 0700 /dev/shm/taskmem-7; as 8 mkdir -m 0777 /dev/shm/taskmem-8; "
      "timeout 20 taskmem ps; timeout 20 taskmem stats $! | head -1; ls /dev/shm/taskmem-?; "
      "kill -9 $!");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  size_t holders = 0;
  for (size_t at = 0; (at = result.out.find("  holder   ", at)) != std::string::npos; ++at) {
    ++holders;
  }
  EXPECT_EQ(holders, 1u) << result.Describe();
  EXPECT_NE(result.out.find("\ntaskmem: holder, pid "), std::string::npos) << result.Describe();
}

TEST_F(BooksElsewhereTest, OfAProgramThatRunStarted) {
  const Result result = ShellWithRoot(
      "taskmem run chroot $ROOT $FOLDER/holder; ls -A $ROOT/dev/shm/taskmem-0 /dev/shm/taskmem-0");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_TRUE(result.err.starts_with("taskmem: holder, pid ")) << result.Describe();
  EXPECT_NE(result.err.find(kTable), std::string::npos) << result.Describe();
  EXPECT_EQ(result.err.find("chroot"), std::string::npos) << result.Describe();
  // Nothing is left, here or there.
  EXPECT_EQ(result.out.find('-', result.out.rfind("taskmem-0") + 9), std::string::npos)
      << result.Describe();
}

TEST_F(BooksElsewhereTest, OfAProcessThatIsNotUnderTaskmemAnyMore) {
  const Result result = ShellInMountSpace(
      "mkfifo $FOLDER/ready; { LD_PRELOAD=$FOLDER/libtaskmem.so sh -c "
      "'exec env -i $FOLDER/holder $FOLDER/ready' & }; read line < $FOLDER/ready; taskmem ps; "
      "taskmem stats $!; test $? = 1 && ! taskmem audit $!; status=$?; kill -9 $!; exit $status");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out.find('\n'), result.out.size() - 1) << result.Describe();
  EXPECT_EQ(result.out.find("holder"), std::string::npos) << result.Describe();
  EXPECT_NE(result.err.find("under taskmem"), std::string::npos) << result.Describe();
}

TEST_F(BooksElsewhereTest, LimitsAreEnforcedWithoutAPlaceForThem) {
  for (const char* unusable :
       {"mount -o remount,ro /dev/shm", "mount -o remount,size=8k /dev/shm",
        "umount /dev/shm && mount -t tmpfs -o nr_inodes=2 none /dev/shm",
        "export TASKMEM_STATS_DIR=$FOLDER/small && mkdir -p $FOLDER/small && "
        "mount -t tmpfs -o size=8k none $FOLDER/small"}) {
    const Result result = ShellInMountSpace(
        std::string(unusable) + " && exec taskmem run --quota 32M --refuse-min 1M $FOLDER/asker");
    EXPECT_TRUE(result.Succeeded()) << unusable << '\n' << result.Describe();
    EXPECT_NE(result.out.find("64 MiB refused"), std::string::npos) << result.Describe();
    EXPECT_NE(result.err.find("its limits were enforced"), std::string::npos) << unusable << '\n'
                                                                              << result.Describe();
    EXPECT_EQ(result.err.find("nothing was enforced"), std::string::npos) << unusable << '\n'
                                                                          << result.Describe();
  }
}

TEST_F(BooksElsewhereTest, OfAProgramWithoutProcHaveItsName) {
  const Result result = ShellInMountSpace(
      "mount -t tmpfs none /proc && exec taskmem run --quota 32M --refuse-min 1M $FOLDER/asker");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.err.find("taskmem: asker, pid "), std::string::npos) << result.Describe();
}

TEST_F(BooksElsewhereTest, OfALiveProcessAreNotForgottenWithoutProc) {
  const Result result = ShellInMountSpace(
      "mkfifo $FOLDER/holds; LD_PRELOAD=$FOLDER/libtaskmem.so $FOLDER/holder $FOLDER/holds & "
      "read line < $FOLDER/holds; mount -t tmpfs none /proc; taskmem ps --dead --forget; "
      "taskmem stats $!; status=$?; kill -9 $!; wait; "
      "taskmem ps --dead; exit $status");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.out.find(kTable), std::string::npos) << result.Describe();
  // Killed, it is there to be read.
  EXPECT_NE(result.out.find("holder", result.out.find(kTable)), std::string::npos)
      << result.Describe();
}

TEST_F(BooksElsewhereTest, NothingIsEnforcedWithoutTheLibrary) {
  const Result result = ShellInMountSpace(
      "taskmem run env -u LD_PRELOAD $FOLDER/holder; "
      "taskmem run --quiet sh -c 'kill -9 $$'");
  EXPECT_EQ(result.err.find("limits were enforced"), std::string::npos) << result.Describe();
}

}  // namespace
}  // namespace taskmem::test
