#include "tools/base/interposable.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

namespace taskmem {
namespace {

std::string MakeScript(const std::string& name, const std::string& text, mode_t mode) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path) << text;
  chmod(path.c_str(), mode);
  return path;
}

TEST(FindProgram, SearchesPath) {
  int error = 0;
  EXPECT_EQ(FindProgram("/bin/sh", &error), "/bin/sh");
  const auto path = FindProgram("sh", &error);
  ASSERT_TRUE(path);
  EXPECT_TRUE(path->ends_with("/sh"));
}

TEST(FindProgram, SaysWhyNot) {
  int error = 0;
  EXPECT_FALSE(FindProgram("no-such-program", &error));
  EXPECT_EQ(error, ENOENT);
  EXPECT_FALSE(FindProgram("", &error));
  EXPECT_EQ(error, ENOENT);
  EXPECT_FALSE(FindProgram("/no/such/program", &error));
  EXPECT_EQ(error, ENOENT);
  EXPECT_FALSE(FindProgram("/", &error));
  EXPECT_EQ(error, EACCES);
  EXPECT_FALSE(FindProgram(MakeScript("plain", "text", 0600), &error));
  EXPECT_EQ(error, EACCES);
}

TEST(WhyNotInterposable, AcceptsDynamicProgramsAndTheirScripts) {
  EXPECT_EQ(WhyNotInterposable("/bin/sh"), std::nullopt);
  EXPECT_EQ(WhyNotInterposable(MakeScript("script", "#!/bin/sh -e\ntrue\n", 0700)), std::nullopt);
  EXPECT_EQ(WhyNotInterposable(MakeScript("bare", "true\n", 0700)), std::nullopt);
}

TEST(WhyNotInterposable, NamesAMissingInterpreter) {
  const std::string script = MakeScript("lost", "#!/no/such/interpreter\n", 0700);
  EXPECT_EQ(WhyNotInterposable(script), "its interpreter /no/such/interpreter is missing");
}

// Whether it lies where it was linked for or not.
TEST(WhyNotInterposable, SeesStaticPrograms) {
  for (const Elf64_Half type : {ET_EXEC, ET_DYN}) {
    Elf64_Ehdr header = {};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_machine = EM_X86_64;
    header.e_type = type;
    const std::string text(reinterpret_cast<const char*>(&header), sizeof(header));
    EXPECT_EQ(WhyNotInterposable(MakeScript("static", text, 0700)), "it is statically linked");
  }
}

// It is itself loaded by nobody, and preloads for the program behind it.
TEST(WhyNotInterposable, AcceptsTheLoader) {
  EXPECT_EQ(WhyNotInterposable("/lib64/ld-linux-x86-64.so.2"), std::nullopt);
}

TEST(WhyNotInterposable, SeesFilesThatAreCut) {
  std::ifstream file("/bin/true", std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  for (const size_t bytes : {70, 100, 200}) {
    const std::string cut = MakeScript("cut", whole.substr(0, bytes), 0700);
    EXPECT_EQ(WhyNotInterposable(cut), "its file is cut or damaged") << bytes;
  }
}

TEST(WhyNotLoadable, KnowsALibraryFromWhatIsNone) {
  EXPECT_EQ(WhyNotLoadable("/lib/x86_64-linux-gnu/libc.so.6"), std::nullopt);
  EXPECT_EQ(WhyNotLoadable("/bin/true"), "it is a program");
  for (const char* path : {"/", "/dev/null", "/no/such"}) {
    EXPECT_EQ(WhyNotLoadable(path), "it is no shared library") << path;
  }
  EXPECT_EQ(WhyNotLoadable(MakeScript("short",
                                      "\x7f"
                                      "ELF",
                                      0600)),
            "it is no shared library");
}

}  // namespace
}  // namespace taskmem
