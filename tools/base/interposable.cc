#include "tools/base/interposable.h"

#include <elf.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "tools/base/message.h"
#include "tools/base/units.h"

namespace taskmem {
namespace {

bool IsExecutable(const std::string& path, int* error) {
  struct stat file;
  if (stat(path.c_str(), &file) != 0) {
    *error = errno;
    return false;
  }
  *error = EACCES;
  return S_ISREG(file.st_mode) && access(path.c_str(), X_OK) == 0;
}

bool IsRegular(const std::string& path) {
  struct stat file;
  return stat(path.c_str(), &file) == 0 && S_ISREG(file.st_mode);
}

// The loader drops LD_PRELOAD where executing gives rights the user has not.
bool GivesRights(const std::string& path) {
  struct stat file;
  if (stat(path.c_str(), &file) != 0) return false;
  if ((file.st_mode & S_ISUID) != 0 && file.st_uid != getuid()) return true;
  constexpr mode_t kSetGroup = S_ISGID | S_IXGRP;
  if ((file.st_mode & kSetGroup) == kSetGroup && file.st_gid != getgid()) return true;
  return getuid() != 0 && getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

// Programs are libraries to their headers; only the dynamic section says what they are.
bool IsProgram(std::ifstream& file, const Elf64_Phdr& dynamic) {
  Elf64_Dyn entry = {};
  file.seekg(static_cast<std::streamoff>(dynamic.p_offset));
  for (uint64_t at = 0; at < dynamic.p_filesz; at += sizeof(entry)) {
    if (!file.read(reinterpret_cast<char*>(&entry), sizeof(entry))) return false;
    if (entry.d_tag == DT_FLAGS_1) return (entry.d_un.d_val & DF_1_PIE) != 0;
  }
  return false;
}

// The dynamic loader, called as a program: it preloads for the program that it is given.
bool IsLoader(const std::string& path) {
  std::error_code error;
  return std::filesystem::equivalent(path, "/lib64/ld-linux-x86-64.so.2", error) && !error;
}

std::optional<std::string> WhyNotLoaded(std::ifstream& file, const Elf64_Ehdr& header) {
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64) {
    return "it is not a 64-bit x86 program";
  }
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof(segment)));
    if (!file.read(reinterpret_cast<char*>(&segment), sizeof(segment))) {
      return "its file is cut or damaged";
    }
    if (segment.p_type != PT_INTERP || segment.p_filesz > 4096) continue;
    std::string loader(segment.p_filesz, '\0');
    file.seekg(static_cast<std::streamoff>(segment.p_offset));
    if (!file.read(loader.data(), static_cast<std::streamsize>(loader.size()))) {
      return "its file is cut or damaged";
    }
    loader = loader.c_str();
    if (access(loader.c_str(), X_OK) == 0) return std::nullopt;
    return "its interpreter " + loader + " is missing";
  }
  return "it is statically linked";
}

}  // namespace

std::optional<std::string> FindProgram(const std::string& program, int* error) {
  *error = ENOENT;
  if (program.find('/') != std::string::npos) {
    if (IsExecutable(program, error)) return program;
    return std::nullopt;
  }
  if (program.empty()) return std::nullopt;
  const char* path = getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/bin:/usr/bin");
  int result = ENOENT;
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + program;
    int why;
    if (IsExecutable(candidate, &why)) return candidate;
    if (why == EACCES) result = EACCES;
  }
  *error = result;
  return std::nullopt;
}

std::string FindProgramOrFail(const std::string& program) {
  int error;
  const auto path = FindProgram(program, &error);
  if (path) return *path;
  constexpr size_t kWordColumns = 60;
  const std::string name = Printable(program, kWordColumns);
  if (error == EACCES) Fatal(kExitNotExecutable, "{}: not an executable file", name);
  Fatal(kExitNotFound, "{}: {}", name,
        program.find('/') == std::string::npos ? "no such program in PATH" : strerror(error));
}

std::optional<std::string> WhyNotInterposable(const std::string& path) {
  std::string current = path;
  // As deep as the kernel follows scripts.
  for (int depth = 0; depth < 5; ++depth) {
    if (!IsRegular(current)) return std::nullopt;
    std::ifstream file(current, std::ios::binary);
    // May be executed all the same; who knows.
    if (!file) return std::nullopt;
    Elf64_Ehdr header = {};
    file.read(reinterpret_cast<char*>(&header), sizeof(header));
    file.clear();
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) == 0) {
      if (GivesRights(current)) return "it runs with rights of its own (setuid or setgid)";
      return IsLoader(current) ? std::nullopt : WhyNotLoaded(file, header);
    }
    // A text without a first line for the kernel is the shell's.
    if (memcmp(header.e_ident, "#!", 2) != 0) return std::nullopt;
    file.seekg(2);
    // Longer than any the kernel takes.
    char line[4096] = {};
    file.getline(line, sizeof(line));
    std::istringstream words(line);
    current.clear();
    words >> current;
    if (!IsRegular(current)) return "its interpreter " + current + " is missing";
    if (access(current.c_str(), X_OK) != 0) return "its interpreter " + current + " is missing";
  }
  return std::nullopt;
}

std::optional<std::string> WhyNotLoadable(const std::string& path) {
  constexpr char kNoLibrary[] = "it is no shared library";
  // A pipe would be waited for.
  if (!IsRegular(path)) return kNoLibrary;
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr header = {};
  if (!file.read(reinterpret_cast<char*>(&header), sizeof(header))) return kNoLibrary;
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_DYN) return kNoLibrary;
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64) {
    return "it is no 64-bit x86 library";
  }
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof(segment)));
    if (!file.read(reinterpret_cast<char*>(&segment), sizeof(segment))) return kNoLibrary;
    if (segment.p_type == PT_DYNAMIC && IsProgram(file, segment)) return "it is a program";
  }
  return std::nullopt;
}

}  // namespace taskmem
