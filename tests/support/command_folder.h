// A folder with the command and the library beside it, as they are installed, and shells that
// use it: as the user, or as root in a mount name space that may be changed at will.
#ifndef TASKMEM_TESTS_SUPPORT_COMMAND_FOLDER_H_
#define TASKMEM_TESTS_SUPPORT_COMMAND_FOLDER_H_

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/program_test.h"

namespace taskmem::test {

class CommandFolder : public ::testing::Test {
 protected:
  CommandFolder() {
    chmod(folder_.path().c_str(), 0755);
    Copy(Runfile("tools/taskmem_command"), "taskmem");
    Copy(LibraryPath(), "libtaskmem.so");
  }

  std::string At(const std::string& name) const { return folder_.path() + "/" + name; }

  void Copy(const std::string& file, const std::string& name) const {
    std::filesystem::copy_file(file, At(name));
    chmod(At(name).c_str(), 0755);
  }

  static bool HasMountSpaces() {
    if (geteuid() != 0) return false;
    Command command;
    command.preload = Preload::kOff;
    command.arguments = {"/bin/sh", "-c", "unshare -m mount --make-rprivate /"};
    return RunCommand(command).Succeeded();
  }

  // With the command as taskmem, and the folder as $FOLDER.
  Result Shell(const std::string& script, Environment environment = {}) const {
    Command command;
    command.preload = Preload::kOff;
    command.arguments = {"/bin/sh", "-c", script};
    command.environment = std::move(environment);
    command.environment["FOLDER"] = folder_.path();
    command.environment["PATH"] = folder_.path() + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    return RunCommand(command);
  }

  // In a mount name space with an empty /dev/shm and /var/tmp, the second on a disk.
  Result ShellInMountSpace(const std::string& script, Environment environment = {}) const {
    environment["SCRIPT"] = script;
    return Shell(
        "exec unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs none /dev/shm && "
        "chmod 1777 /dev/shm && mkdir -p \"$FOLDER/disk\" && chmod 1777 \"$FOLDER/disk\" && "
        "mount --bind \"$FOLDER/disk\" /var/tmp && eval \"$SCRIPT\"'",
        std::move(environment));
  }

  // Where other users find it.
  const TemporaryFolder folder_{"/tmp"};
};

}  // namespace taskmem::test

#endif  // TASKMEM_TESTS_SUPPORT_COMMAND_FOLDER_H_
