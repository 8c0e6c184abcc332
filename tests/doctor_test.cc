// `taskmem doctor`: what it says of programs of each kind, and its exit status.
#include <fcntl.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/command_folder.h"
#include "tests/support/text_lines.h"

namespace taskmem::test {
namespace {

class DoctorTest : public CommandFolder {
 protected:
  Result Doctor(const std::string& arguments, Environment environment = {}) const {
    environment.try_emplace("TASKMEM_STATS_DIR", At("stats"));
    return Shell("cd $FOLDER; taskmem doctor " + arguments, std::move(environment));
  }

  // The status, and a line (wrapped, perhaps) that says so.
  void Expect(const std::string& arguments, int status, const std::string& text,
              Environment environment = {}) const {
    const Result result = Doctor(arguments, std::move(environment));
    EXPECT_EQ(result.exit_status, status) << arguments << result.Describe();
    std::string words;
    for (const char c : result.out) {
      if (c != '\n' && (c != ' ' || !words.ends_with(' '))) {
        words += c;
      } else if (!words.ends_with(' ')) {
        words += ' ';
      }
    }
    EXPECT_NE(words.find(text), std::string::npos) << arguments << text << result.Describe();
    for (const std::string& line : Lines(result.out)) EXPECT_LE(ScreenColumns(line), 80u) << line;
    EXPECT_EQ(result.err, "") << arguments;
  }

  // A program of C that does nothing, with what is said.
  void Compile(const std::string& name, const std::string& source,
               const std::string& options = "") const {
    folder_.Write(name + ".c", source);
    const Result result = Shell("cd $FOLDER && gcc -o " + name + " " + name + ".c " + options);
    ASSERT_TRUE(result.Succeeded()) << result.Describe();
  }
};

TEST_F(DoctorTest, AnOrdinaryProgramWorks) {
  Compile("plain", "int main(void) { return 0; }");
  Expect("-- ./plain", 0, "plain is linked dynamically: it loads the library");
  Expect("-- ./plain", 0, "taskmem works here: all is seen, and limits hold");
  Expect("", 0, "all tasks together may have ");
  Expect("", 0, "books lie in ");
}

TEST_F(DoctorTest, ProgramsThatLoadNothing) {
  Compile("static", "int main(void) { return 0; }", "-static");
  Expect("-- ./static", 3, "static cannot be interposed: it is statically linked");
  // By a script, too: env(1) finds it, which itself is no such program.
  folder_.Write("by_env", "#!/usr/bin/env ./static\n");
  chmod(At("by_env").c_str(), 0755);
  Expect("-- ./by_env", 3, "static cannot be interposed: it is statically linked");
  Compile("go",
          "__asm__(\".section .go.buildinfo,\\\"a\\\"\\n.byte 1\\n.text\"); int main(void) { "
          "return 0; }",
          "-static");
  Expect("-- ./go", 3, "GOMEMLIMIT");
  if (geteuid() == 0) {
    Compile("rights", "int main(void) { return 0; }");
    ASSERT_TRUE(Shell("chown 65534 $FOLDER/rights && chmod 4755 $FOLDER/rights").Succeeded());
    Expect("-- ./rights", 3, "it runs with rights of its own");
  }
  // The path of its loader, changed in place.
  Compile("musl", "int main(void) { return 0; }");
  std::ifstream file(At("musl"), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::string loader = "/lib64/ld-linux-x86-64.so.2";
  const size_t at = bytes.find(loader);
  ASSERT_NE(at, std::string::npos);
  std::string other = "/lib/ld-musl-x86_64.so.1";
  other.resize(loader.size());
  bytes.replace(at, loader.size(), other);
  folder_.Write("musl", bytes);
  Expect("-- ./musl", 3, "uses musl, and the library needs glibc");
}

TEST_F(DoctorTest, SanitizersAreFailures) {
  Compile("asan", "void __asan_init(void) {} int main(void) { return 0; }", "-rdynamic");
  Expect("-- ./asan", 3, "asan is built with AddressSanitizer, which replaces malloc itself");
}

TEST_F(DoctorTest, AllocatorsThatAProgramBrings) {
  Compile("libengine.so", "int duckdb_je_mallctlnametomib(void) { return 0; }", "-shared -fPIC");
  Compile("engine",
          "int duckdb_je_mallctlnametomib(void); int main(void) { return "
          "duckdb_je_mallctlnametomib(); }",
          "-L. -Wl,-rpath,$FOLDER -l:libengine.so");
  Expect("-- ./engine", 0, "libengine.so brings jemalloc (duckdb_je_*)");
  Compile("mimalloc",
          "void* mi_malloc(unsigned long n) { return (void*)n; } int main(void) { return 0; }",
          "-rdynamic");
  Expect("-- ./mimalloc", 1, "mimalloc brings mimalloc (mi_*)");
  Compile("own",
          "void* malloc(unsigned long n) { (void)n; return 0; } int main(void) { return 0; }",
          "-rdynamic -fno-builtin");
  Expect("-- ./own", 1, "own exports a malloc of its own");
}

TEST_F(DoctorTest, Runtimes) {
  Expect("-- python3", 0, "CPython: objects up to 512 bytes", {{"PYTHONMALLOC", ""}});
  folder_.Write("script", "#!/usr/bin/env python3\npass\n");
  chmod(At("script").c_str(), 0755);
  Expect("-- ./script", 0, "script is a script: ");
  Expect("-- ./script", 0, "CPython: objects up to 512 bytes");
  if (!FindInPath("java").empty()) Expect("-- java", 0, "a JVM: its heap is charged by");
}

TEST_F(DoctorTest, WhatTheHostHas) {
  Expect("", 1, "cannot be used for --spill-dir", {{"TASKMEM_SPILL_DIR", "/proc/none"}});
  const Result memory = Shell("df --output=fstype /dev/shm | grep -q tmpfs");
  if (memory.Succeeded()) {
    Expect("", 1, "is in memory itself", {{"TASKMEM_SPILL_DIR", "/dev/shm"}});
  }
  const Result result =
      Shell("ulimit -v 200000; taskmem doctor", {{"TASKMEM_STATS_DIR", At("stats")}});
  EXPECT_EQ(result.exit_status, 3) << result.Describe();
  EXPECT_NE(result.out.find("(ulimit -v)"), std::string::npos) << result.Describe();
}

TEST_F(DoctorTest, ProcessesThatRun) {
  const std::string start =
      "LD_PRELOAD=$FOLDER/libtaskmem.so " + ProgramPath("requests_come") +
      " sleeps > $FOLDER/ready & p=$!; until grep -qs ready $FOLDER/ready; do "
      "sleep 0.01; done; ";
  const Environment environment = {{"TASKMEM_STATS_DIR", At("stats")}};
  Result result = Shell(start + "taskmem doctor $p; s=$?; kill $p; exit $s", environment);
  EXPECT_EQ(result.exit_status, 0) << result.Describe();
  EXPECT_NE(result.out.find("runs under taskmem, and its books"), std::string::npos) << result.out;
  // One that does not.
  result = Shell("sleep 60 & taskmem doctor $!; s=$?; kill $!; exit $s", environment);
  EXPECT_EQ(result.exit_status, 3) << result.Describe();
  EXPECT_NE(result.out.find("does not run under taskmem"), std::string::npos) << result.out;
}

TEST_F(DoctorTest, DamagedFilesDoNoHarm) {
  std::ifstream file("/bin/true", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  uint64_t random = 20240718;
  for (int round = 0; round < 40; ++round) {
    std::string damaged = bytes.substr(0, round % 4 == 0 ? bytes.size() / 2 : bytes.size());
    for (int i = 0; i < 64; ++i) {
      random = random * 6364136223846793005 + 1442695040888963407;
      // Most of it in the headers.
      damaged[(random >> 33) % (i < 32 ? 1024 : damaged.size())] = static_cast<char>(random >> 25);
    }
    if (round % 2 == 0) damaged.replace(0, 4, "\177ELF");
    folder_.Write("damaged", damaged);
    chmod(At("damaged").c_str(), 0755);
    const Result result = Doctor("-- ./damaged");
    EXPECT_EQ(result.signal, 0) << round << result.Describe();
    EXPECT_LE(result.exit_status, 3) << round << result.Describe();
  }
}

TEST_F(DoctorTest, BadInputIsOneLine) {
  struct Bad {
    const char* arguments;
    int status;
    const char* text;
  };
  folder_.Write("text", "no program\n");
  for (const Bad& bad : {
           Bad{"x", 2, "PID"},
           Bad{"0", 2, "PID"},
           Bad{"-7", 2, "-7"},
           Bad{"4194303", 1, "no process 4194303"},
           Bad{"--", 2, "no program"},
           Bad{"1 -- true", 2, "not both"},
           Bad{"--no-such", 2, "--no-such"},
           Bad{"-- no-such-program", 127, "no such program"},
           Bad{"-- ./no-such-program", 127, "No such file"},
           Bad{"-- ./text", 126, "not an executable file"},
           Bad{"-- \"$(printf 'x\\033[2J')\"", 127, "no such program"},
           Bad{"1 2", 2, "2"},
       }) {
    const Result result = Doctor(bad.arguments);
    EXPECT_EQ(result.exit_status, bad.status) << bad.arguments << result.Describe();
    EXPECT_EQ(result.out, "") << bad.arguments;
    EXPECT_EQ(Lines(result.err).size(), 1u) << bad.arguments << result.Describe();
    EXPECT_NE(result.err.find(bad.text), std::string::npos) << bad.arguments << result.Describe();
    EXPECT_EQ(result.err.find('\033'), std::string::npos) << bad.arguments;
  }
}

}  // namespace
}  // namespace taskmem::test
