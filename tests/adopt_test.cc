// Allocators that libraries bring with them are brought under the preload's, or left alone.
#include <elf.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

Environment Adopt(const std::string& how) {
  return {{"TASKMEM_TASK_BY", "thread-name=^no such thread$"}, {"TASKMEM_ADOPT", how}};
}

class Adoption : public ::testing::TestWithParam<std::string> {
 protected:
  std::string Library() { return ProgramPath("engine_" + GetParam() + ".so"); }
};

TEST_P(Adoption, IsFromTheFirstBlockOn) {
  ExpectSuccess({"engine", Library(), "adopted"}, Adopt("auto"));
}

TEST_P(Adoption, MayBeForbidden) { ExpectSuccess({"engine", Library(), "kept"}, Adopt("off")); }

TEST_P(Adoption, MayBeRequired) {
  ExpectSuccess({"engine", Library(), "adopted"}, Adopt("require=other,engine_"));
}

TEST_P(Adoption, IsOfALibraryThatComesAgainAndAgain) {
  ExpectSuccess({"reloaded", Library()}, Adopt("auto"));
}

TEST_P(Adoption, IsOfEachOfSeveralThatComeAndGo) {
  TemporaryFolder folder;
  std::vector<std::string> arguments = {"crowd"};
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    arguments.push_back(folder.path() + "/" + name + ".so");
    std::filesystem::copy_file(Library(), arguments.back());
  }
  ExpectSuccess(arguments, Adopt("auto"));
}

// The library, its symbols' names among longer ones of its sections, in one table.
std::string WithNamesOfSections(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  Elf64_Ehdr header;
  memcpy(&header, bytes.data(), sizeof(header));
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  const size_t section_bytes = sections.size() * sizeof(sections[0]);
  memcpy(sections.data(), &bytes[header.e_shoff], section_bytes);
  for (const Elf64_Shdr& table : std::vector(sections)) {
    if (table.sh_type != SHT_SYMTAB) continue;
    Elf64_Shdr& names = sections[table.sh_link];
    std::string text(1, '\0');
    for (uint64_t at = 0; at < table.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      memcpy(&symbol, &bytes[table.sh_offset + at], sizeof(symbol));
      const std::string name = &bytes[names.sh_offset + symbol.st_name];
      symbol.st_name = static_cast<uint32_t>(text.size());
      memcpy(&bytes[table.sh_offset + at], &symbol, sizeof(symbol));
      text += name + '\0' + ".data." + std::string(400, 'n') + '\0';
    }
    names.sh_offset = bytes.size();
    names.sh_size = text.size();
    header.e_shstrndx = static_cast<Elf64_Half>(table.sh_link);
    bytes += text;
  }
  memcpy(&bytes[header.e_shoff], sections.data(), section_bytes);
  memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

TEST(AdoptionByName, IsOfNamesThatLieAmongSections) {
  TemporaryFolder folder;
  const std::string library =
      folder.Write("engine_local.so", WithNamesOfSections(ProgramPath("engine_local.so")));
  ExpectSuccess({"engine", library, "adopted"}, Adopt("auto"));
}

INSTANTIATE_TEST_SUITE_P(, Adoption, ::testing::Values("based", "exported", "local", "sparse"),
                         [](const auto& info) { return info.param; });

TEST(AdoptionAtTheStart, IsOfALibraryThatTheProgramNeeds) {
  for (const std::string library : {"based", "local", "sparse"}) {
    SCOPED_TRACE(library);
    const std::string program = "engine_needed_" + library;
    const std::string name = "engine_" + library;
    ExpectSuccess({program, name + ".so", "adopted"}, Adopt("auto"));
    ExpectSuccess({program, name + ".so", "adopted"}, Adopt("require=" + name));
    ExpectSuccess({program, name + ".so", "kept"}, Adopt("off"));
  }
}

TEST(AdoptionAtTheStart, IsOfTheProgramItself) {
  ExpectSuccess({"engine_own", "engine_own", "adopted"}, Adopt("auto"));
  ExpectSuccess({"engine_own", "engine_own", "kept"}, Adopt("off"));
}

TEST(AdoptionAtTheStart, NeedsNoVariableThatTheProgramHasACopyOf) {
  for (const char* mode : {"auto", "off"}) ExpectSuccess({"copied_variables"}, Adopt(mode));
}

TEST(AdoptionAtTheStart, IsNotOfAnAuditorWhichHasRunBefore) {
  Environment environment = Adopt("auto");
  environment["LD_AUDIT"] = ProgramPath("auditor.so");
  ExpectSuccess({"engine_needed_local", "engine_local.so", "adopted"}, environment);
}

// What malloc hands out may be given back by jemalloc's own calls, and the other way round.
TEST(AdoptionAtTheStart, IsOfAJemallocWithoutAPrefix) {
  const std::string file = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no " << file;
  for (const Preload preload : {Preload::kOff, Preload::kOn}) {
    Command command;
    command.preload = preload;
    command.arguments = {ProgramPath("without_prefix")};
    command.environment = Adopt("auto");
    if (preload == Preload::kOn) {
      command.more_preloads = {file};
    } else {
      command.environment["LD_PRELOAD"] = file;
    }
    const Result result = RunCommand(command);
    EXPECT_TRUE(result.Succeeded()) << result.Describe();
    EXPECT_EQ(result.err, "");
  }
}

TEST(AdoptionOfSome, IsNoneAndTheLogSaysWhy) {
  TemporaryFolder folder;
  Environment environment = Adopt("auto");
  environment["TASKMEM_LOG"] = folder.path() + "/log";
  ExpectSuccess({"engine", ProgramPath("engine_incomplete.so"), "kept",
                 "not all of its functions have names"},
                environment);
  std::stringstream log;
  log << std::ifstream(folder.path() + "/log").rdbuf();
  EXPECT_NE(log.str().find("keeps its own memory: not all of its functions have names"),
            std::string::npos);
}

TEST(AdoptionOfSome, IsNoneWhereCallersMayUseAVariant) {
  ExpectSuccess({"engine", ProgramPath("engine_varied.so"), "kept",
                 "the compiler made variants of its functions"},
                Adopt("auto"));
}

// By the name of the file: of another's mimalloc it is not known which functions are used.
TEST(AdoptionOfSome, IsOfMimallocInAnOldArrowAlone) {
  const std::string arrow = ProgramPath("libarrow.so.1800");
  ExpectSuccess({"old_arrow", arrow, "adopted"}, Adopt("require=libarrow"));
  ExpectSuccess({"old_arrow", arrow, "kept"}, Adopt("off"));
  TemporaryFolder folder;
  const std::string other = folder.path() + "/libother.so";
  std::filesystem::copy_file(arrow, other);
  ExpectSuccess({"old_arrow", other, "kept"}, Adopt("auto"));
}

TEST(AdoptionOfSome, IsNotWhereNoNameIsKnown) {
  ExpectSuccess({"unnamed", ProgramPath("unnamed_stripped.so"),
                 "stripped: its functions have no names; charged to no task"},
                Adopt("auto"));
  ExpectSuccess({"unnamed", ProgramPath("unnamed_whole.so"),
                 "its functions have no names that are known; charged to no task"},
                Adopt("auto"));
  Environment of_process = Adopt("auto");
  of_process["TASKMEM_TASK_BY"] = "process";
  ExpectSuccess(
      {"unnamed", ProgramPath("unnamed_stripped.so"), "stripped: its functions have no names"},
      of_process);
}

// What an adopted allocator would ask for itself.
TEST(AdoptionOfSome, HasHugePagesWhereNothingIsLimited) {
  if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) != 0) {
    GTEST_SKIP() << "there are no huge pages here";
  }
  const auto expect = [](const char* asked, const char* name, const char* value) {
    ExpectSuccess({"huge_pages", ProgramPath("huge_pages_library.so"), asked},
                  {{"TASKMEM_TASK_BY", "process"}, {name, value}});
  };
  expect("some", "TASKMEM_ADOPT", "auto");
  expect("some", "MIMALLOC_ALLOW_THP", "1");
  expect("none", "MIMALLOC_ALLOW_THP", "0");
  expect("none", "TASKMEM_QUOTA", "500M");
  expect("none", "TASKMEM_MEMORY", "500M");
}

TEST(AdoptionOfSome, EndsTheProgramInOneLineWhereItIsRequired) {
  const Result result =
      RunProgram({"engine", ProgramPath("engine_incomplete.so"), "kept"}, Adopt("require"));
  EXPECT_EQ(result.exit_status, 1) << result.Describe();
  EXPECT_TRUE(result.err.starts_with("taskmem: --adopt require: ")) << result.Describe();
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.Describe();
}

TEST(AdoptionOfSome, EndsTheProgramWhereItIsRequiredAndNoNameIsKnown) {
  for (const char* how : {"require", "require=other,unnamed_"}) {
    SCOPED_TRACE(how);
    const Result result =
        RunProgram({"unnamed", ProgramPath("unnamed_stripped.so"), "kept"}, Adopt(how));
    EXPECT_EQ(result.exit_status, 1) << result.Describe();
    EXPECT_TRUE(result.err.starts_with("taskmem: --adopt require: ")) << result.Describe();
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.Describe();
  }
  ExpectSuccess({"unnamed", ProgramPath("unnamed_stripped.so"),
                 "stripped: its functions have no names; charged to no task"},
                Adopt("require=other"));
}

}  // namespace
}  // namespace taskmem::test
