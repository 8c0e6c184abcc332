#include "tools/remote/module_file.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "accounting/audit/unloaded_code.h"

namespace taskmem {
namespace {

std::shared_ptr<const Descriptor> Own(int fd) {
  return fd >= 0 ? std::make_shared<const Descriptor>(fd) : nullptr;
}

// Opening a device or a FIFO may do something, or wait: what it is is known first.
int OpenRegularFile(int folder, const char* path) {
  const int place = openat(folder, path, O_PATH | O_CLOEXEC);
  if (place < 0) return -1;
  struct stat status;
  int fd = -1;
  if (fstat(place, &status) == 0 && S_ISREG(status.st_mode)) {
    const std::string again = fmt::format("/proc/self/fd/{}", place);
    fd = open(again.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  }
  close(place);
  return fd;
}

bool HasFingerprint(int fd, uint64_t fingerprint) {
  char beginning[kFingerprintBytes];
  return pread(fd, beginning, sizeof(beginning), 0) == static_cast<ssize_t>(sizeof(beginning)) &&
         Fingerprint(beginning) == fingerprint;
}

// -1 where it is another's.
int OpenIfModules(int folder, const char* path, const Module& module) {
  const int fd = OpenRegularFile(folder, path);
  if (fd < 0 || HasFingerprint(fd, module.fingerprint)) return fd;
  close(fd);
  return -1;
}

// The kernel says so of a file that has no name any more.
std::string WithoutDeleted(const std::string& path) {
  constexpr std::string_view kDeleted = " (deleted)";
  return path.ends_with(kDeleted) ? path.substr(0, path.size() - kDeleted.size()) : path;
}

// Other than this process's. nullptr: the same, or it cannot be known.
std::shared_ptr<const Descriptor> RootOf(pid_t pid) {
  const std::string proc = fmt::format("/proc/{}", pid);
  struct stat own;
  struct stat other;
  char own_space[64] = "";
  char other_space[64] = "";
  if (stat("/", &own) != 0 || stat((proc + "/root/").c_str(), &other) != 0) return nullptr;
  const bool has_spaces =
      readlink("/proc/self/ns/mnt", own_space, sizeof(own_space) - 1) > 0 &&
      readlink((proc + "/ns/mnt").c_str(), other_space, sizeof(other_space) - 1) > 0;
  if (own.st_dev == other.st_dev && own.st_ino == other.st_ino &&
      (!has_spaces || strcmp(own_space, other_space) == 0)) {
    return nullptr;
  }
  return Own(open((proc + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

// The links of map_files are named after ranges.
int OpenMapped(pid_t pid, const Module& module) {
  const std::string folder = fmt::format("/proc/{}/map_files", pid);
  const std::string beginning = fmt::format("{:x}-", module.start);
  std::error_code error;
  for (auto at = std::filesystem::directory_iterator(folder, error);
       !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    if (at->path().filename().string().starts_with(beginning)) {
      return OpenIfModules(AT_FDCWD, at->path().c_str(), module);
    }
  }
  return -1;
}

bool WriteAt(int fd, const std::vector<char>& bytes, uint64_t at) {
  return pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at)) ==
         static_cast<ssize_t>(bytes.size());
}

// What of the file is loaded, where it was in the file: without sections, of which little is.
int CopyFromMemory(const RemoteMemory& memory, const Module& module) {
  constexpr uint64_t kMostBytes = 64 << 20;
  constexpr uint16_t kMostParts = 256;
  auto header = memory.Read<Elf64_Ehdr>(module.start);
  if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phnum > kMostParts ||
      header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff > module.end - module.start) {
    return -1;
  }
  const auto parts = memory.ReadArray<Elf64_Phdr>(module.start + header->e_phoff, header->e_phnum);
  uint64_t low = UINT64_MAX;
  for (const Elf64_Phdr& part : parts) {
    if (part.p_type == PT_LOAD) low = std::min(low, part.p_vaddr / kPageBytes * kPageBytes);
  }
  const std::string name = "taskmem " + module.Name();
  const int fd = memfd_create(name.substr(0, 200).c_str(), MFD_CLOEXEC);
  if (fd < 0) return -1;
  uint64_t bytes = 0;
  bool is_whole = true;
  for (const Elf64_Phdr& part : parts) {
    if (part.p_type != PT_LOAD) continue;
    bytes += part.p_filesz;
    is_whole = is_whole && part.p_filesz <= kMostBytes && bytes <= kMostBytes &&
               part.p_offset <= kMostBytes && part.p_vaddr - low < module.end - module.start;
    if (!is_whole) break;
    const uint64_t address = module.start + (part.p_vaddr - low);
    const auto loaded = memory.ReadArray<char>(address, part.p_filesz);
    is_whole = loaded.size() == part.p_filesz && WriteAt(fd, loaded, part.p_offset);
  }
  header->e_shoff = 0;
  header->e_shnum = 0;
  header->e_shstrndx = 0;
  const auto* first = reinterpret_cast<const char*>(&*header);
  if (is_whole && WriteAt(fd, {first, first + sizeof(*header)}, 0)) return fd;
  close(fd);
  return -1;
}

}  // namespace

int OpenModuleFile(const Module& module) {
  if (module.file != nullptr) return fcntl(module.file->fd(), F_DUPFD_CLOEXEC, 0);
  const std::string path = WithoutDeleted(module.path);
  if (module.fingerprint == 0 || !path.starts_with('/')) return -1;
  int fd = -1;
  if (module.root != nullptr) fd = OpenIfModules(module.root->fd(), path.c_str() + 1, module);
  if (fd < 0) fd = OpenIfModules(AT_FDCWD, path.c_str(), module);
  return fd;
}

void HoldModuleFiles(pid_t pid, const RemoteMemory& memory, const std::vector<uint64_t>& addresses,
                     std::vector<Module>* modules) {
  // Each is a descriptor.
  constexpr size_t kMostHeld = 64;
  size_t held = 0;
  const std::shared_ptr<const Descriptor> root = RootOf(pid);
  std::set<const Module*> needed;
  for (const uint64_t address : addresses) needed.insert(FindModule(*modules, address - 1));
  for (Module& module : *modules) {
    module.root = root;
    if (!needed.contains(&module) || module.is_unloaded || held == kMostHeld) continue;
    int fd = OpenModuleFile(module);
    if (fd >= 0 && root == nullptr) {
      close(fd);  // it is found again
      continue;
    }
    // What is mounted for the process alone goes with it.
    if (fd < 0) fd = OpenMapped(pid, module);
    if (fd < 0) fd = OpenIfModules(AT_FDCWD, fmt::format("/proc/{}/exe", pid).c_str(), module);
    if (fd < 0) fd = CopyFromMemory(memory, module);
    if (fd >= 0) ++held;
    module.file = Own(fd);
  }
}

}  // namespace taskmem
