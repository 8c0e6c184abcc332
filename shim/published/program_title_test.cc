#include "shim/published/program_title.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace taskmem {
namespace {

std::string Title(const char* path, const std::vector<const char*>& arguments, size_t bytes = 80) {
  std::vector<char> title(bytes, 'x');
  DescribeProgram(path, static_cast<int>(arguments.size()), arguments.data(), title.data(), bytes);
  return title.data();
}

TEST(ProgramTitle, ProgramsHaveTheNameOfTheirFile) {
  EXPECT_EQ(Title("/usr/bin/sort", {"sort", "big.txt"}), "sort");
  EXPECT_EQ(Title("/usr/bin/sort", {"other name"}), "sort");
  EXPECT_EQ(Title("/usr/bin/sort", {""}), "sort");
  EXPECT_EQ(Title("/usr/bin/sort", {}), "sort");
  EXPECT_EQ(Title("", {}), "");
  // dash is called as sh, and is no version of it.
  EXPECT_EQ(Title("/usr/bin/dash", {"sh", "x.sh"}), "dash x.sh");
  EXPECT_EQ(Title("/usr/bin/gcc-12", {"gcc", "a.c"}), "gcc");
}

TEST(ProgramTitle, PythonIsNamedByScriptOrModule) {
  const char* const path = "/usr/bin/python3.11";
  EXPECT_EQ(Title(path, {"python3", "job.py"}), "python3 job.py");
  EXPECT_EQ(Title(path, {"/usr/bin/python3", "-u", "/srv/app/job.py", "--key=1"}),
            "python3 job.py");
  EXPECT_EQ(Title(path, {"python3", "-W", "error", "-Xdev", "-bb", "job.py"}), "python3 job.py");
  EXPECT_EQ(Title(path, {"python3", "-m", "http.server", "80"}), "python3 http.server");
  EXPECT_EQ(Title(path, {"python3", "-Im", "pytest"}), "python3 pytest");
  EXPECT_EQ(Title(path, {"python3", "-mpytest"}), "python3 pytest");
  EXPECT_EQ(Title(path, {"python3", "-c", "secret = 1", "job.py"}), "python3");
  EXPECT_EQ(Title(path, {"python3", "-"}), "python3");
  EXPECT_EQ(Title(path, {"python3"}), "python3");
  EXPECT_EQ(Title(path, {"python3", "-m"}), "python3");
  EXPECT_EQ(Title(path, {"python3", "-W"}), "python3");
}

TEST(ProgramTitle, ShellsAreNamedByScript) {
  EXPECT_EQ(Title("/usr/bin/bash", {"bash", "x.sh"}), "bash x.sh");
  EXPECT_EQ(Title("/usr/bin/bash", {"bash", "-eu", "-o", "pipefail", "./x.sh", "y"}), "bash x.sh");
  EXPECT_EQ(Title("/usr/bin/bash", {"bash", "+o", "posix", "x.sh"}), "bash x.sh");
  EXPECT_EQ(Title("/usr/bin/bash", {"bash", "--norc", "--rcfile", "rc", "x.sh"}), "bash x.sh");
  EXPECT_EQ(Title("/usr/bin/bash", {"bash", "-ec", "rm x", "name"}), "bash");
  EXPECT_EQ(Title("/usr/bin/bash", {"-bash"}), "bash");
}

TEST(ProgramTitle, JavaIsNamedByClassOrArchive) {
  const char* const path = "/usr/lib/jvm/java-17/bin/java";
  EXPECT_EQ(Title(path, {"java", "-Xmx1g", "-cp", "a.jar:b.jar", "-Dkey=value", "org.x.Main", "1"}),
            "java org.x.Main");
  EXPECT_EQ(Title(path, {"java", "-jar", "/opt/app.jar"}), "java app.jar");
  EXPECT_EQ(Title(path, {"java", "--class-path=x", "-ea", "--add-opens", "a/b=c", "Main"}),
            "java Main");
  EXPECT_EQ(Title(path, {"java", "--module=m/x.Main"}), "java x.Main");
  EXPECT_EQ(Title(path, {"java", "@arguments"}), "java");
  EXPECT_EQ(Title(path, {"java", "-version"}), "java");
}

TEST(ProgramTitle, OthersAreNamedByScript) {
  EXPECT_EQ(Title("/usr/bin/perl", {"perl", "-w", "x.pl"}), "perl x.pl");
  EXPECT_EQ(Title("/usr/bin/perl", {"perl", "-pe", "s/a/b/", "file"}), "perl");
  EXPECT_EQ(Title("/usr/bin/node", {"node", "--max-old-space-size=100", "-r", "m", "a.js"}),
            "node a.js");
  EXPECT_EQ(Title("/usr/bin/node", {"node", "--eval", "1"}), "node");
  EXPECT_EQ(Title("/usr/bin/ruby3.1", {"ruby", "x.rb"}), "ruby x.rb");
}

TEST(ProgramTitle, IsCutToItsRoom) {
  EXPECT_EQ(Title("/usr/bin/python3", {"python3", "a_long_name.py"}, 11), "python3 a_");
}

}  // namespace
}  // namespace taskmem
