#!/usr/bin/python3
"""Every command in README.md and the manual runs as it stands there, and prints what is shown of it.

Commands are the lines that begin with "$ " in blocks of ```console, and every line of ```sh. Those
of a page are one shell's, in a folder that has the files that README and the page show. taskmem
is what is installed, below a folder that stands for /usr/local. Lines of output are compared without
their figures; "..." stands for any lines. What is written in a line of text, `taskmem audit PID`,
must be a command and options that there are."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.environ["TEST_SRCDIR"], "taskmem/tests"))
# pylint: disable=wrong-import-position
import manual_blocks

FILES = os.path.join(os.environ["TEST_SRCDIR"], "taskmem")
README = os.path.join(FILES, "README.md")
MANUAL = os.path.join(FILES, "tools/manual")
PAGES = [README] + sorted(os.path.join(MANUAL, name) for name in os.listdir(MANUAL)
                          if name.endswith(".md"))

_BUILDS = "it builds this tree: //tests:install_test installs what it installs"
NOT_RUN = {
    "tools/taskmem run PROGRAM ARGS...": "names stand for a program and its arguments",
    "tools/test": "it runs this test",
    "tools/install": _BUILDS,
    "tools/install --prefix /opt/taskmem": _BUILDS,
    "tools/install --uninstall": _BUILDS,
    "bazel build //:taskmem_deb": _BUILDS,
    "apt-get install ./bazel-bin/tools/package/taskmem.deb": "//tests:install_test installs it",
    "taskmem run --quota 260M -- python3 query.py": "DuckDB is no package of Debian",
    "taskmem run --quota 260M --overflow -- python3 query.py": "DuckDB is no package of Debian",
}
# Those that end with another status than 0, as is shown.
FAILS = {
    "tools/taskmem run --quota 300M -- python3 -c 'held = [b\"x\" * (90 << 20) for _ in range(4)]'": 1,
    "taskmem run --quota 300M --log taskmem.log -- python3 job.py": 1,
}
# Options of other programs that the text speaks of.
OTHERS = {"--cflags", "--libs", "--config", "--seconds", "--no-install-recommends", "--perf-basic-prof"}
MOST_README_LINES = 200


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def commands_of(path):
    """[(command, lines that are shown of its output)]."""
    found = []
    for block in manual_blocks.blocks(path):
        if block.language == "sh":
            found += [(re.sub(r"\s+# .*", "", line), []) for line in block.text.splitlines() if line]
        if block.language != "console":
            continue
        for line in block.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def without_figures(line):
    """Words alone: sizes, numbers and the space between columns may be others."""
    line = re.sub(r"[0-9]+(\.[0-9]+)? ?(B|[KMGT]iB|ms|%)(?![a-z])", " ", line)
    line = re.sub(r"/\S*/|[0-9a-f]{6,}", " ", line)
    line = re.sub(r"[0-9]+(\.[0-9]+)?", " ", line)
    return " ".join(word for word in line.split() if word != "-")


def is_shown(line, shown):
    """`shown` may be the beginning of one that goes on in the next."""
    return line == shown or (shown[-1:] in (",", ";") and line.startswith(shown))


def joined(lines):
    """What is wrapped in one line: where depends on its figures."""
    return re.sub(r"(?<=[,;])\n    (?=\w)", " ", "\n".join(lines)).splitlines()


def first_not_shown(shown, output):
    """The first line of `shown` that does not follow in `output`; None where all do."""
    lines = [without_figures(line) for line in joined(output.splitlines())]
    at, may_skip = 0, False
    for line in joined(shown):
        if line.strip() in ("...", "…"):
            may_skip = True
            continue
        wanted = without_figures(line)
        found = [i for i in range(at, len(lines)) if is_shown(lines[i], wanted)]
        if not found or (found[0] != at and not may_skip):
            return line
        at, may_skip = found[0] + 1, False
    return None


class ManualTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.prefix = os.path.join(cls.temporary.name, "installed")
        subprocess.run([os.path.join(FILES, "tools/package/install_tree"),
                        os.path.join(FILES, "tools/package/tree.tar"), cls.prefix], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def folder_for(self, page):
        folder = os.path.join(self.temporary.name, os.path.basename(page))
        os.makedirs(os.path.join(folder, "tools"))
        os.symlink(os.path.join(self.prefix, "bin/taskmem"), os.path.join(folder, "tools/taskmem"))
        for name, text in {**manual_blocks.files(README), **manual_blocks.files(page)}.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        # What the text speaks of as the user's own.
        with open(os.path.join(folder, "big.txt"), "w", encoding="utf-8") as file:
            file.writelines("%d\n" % (number * 7919 % 100003) for number in range(200000))
        if shutil.which("g++"):
            subprocess.run(["g++", "-std=c++17", "-I" + self.prefix + "/include", "engine.cc", "-o",
                            "engine"], cwd=folder, check=True)
        return folder

    def run_page(self, page):
        commands = [(command, shown) for command, shown in commands_of(page)
                    if command not in NOT_RUN]
        if not commands:
            return
        folder = self.folder_for(page)
        script = []
        for number, (command, _) in enumerate(commands):
            command = command.replace("/usr/local", self.prefix)
            script.append("exec >%d.out 2>&1" % number)
            script.append(command)
            if command.endswith("&"):
                # It says when it is ready.
                script.append("for i in $(seq 600); do grep -q ready %d.out && break; sleep 0.1; done"
                              % number)
                script.append("true")
            script.append("echo $? >%d.status" % number)
        script.append("kill $(jobs -p) 2>/dev/null; true")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TASKMEM_")}
        kept["PATH"] = self.prefix + "/bin:/usr/local/bin:/usr/bin:/bin"
        kept["PKG_CONFIG_PATH"] = os.path.join(self.prefix, "lib/pkgconfig")
        kept["TASKMEM_STATS_DIR"] = os.path.join(folder, "stats")
        subprocess.run(["/bin/bash", "-c", "\n".join(script)], cwd=folder, env=kept, check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=400)
        for number, (command, shown) in enumerate(commands):
            with self.subTest(page=os.path.basename(page), command=command):
                output = read(os.path.join(folder, "%d.out" % number))
                status = read(os.path.join(folder, "%d.status" % number)).strip()
                self.assertEqual(status, str(FAILS.get(command, 0)), output)
                self.assertIsNone(first_not_shown(shown, output), output)

    def test_what_is_not_run_stands_there(self):
        all_commands = [command for page in PAGES for command, _ in commands_of(page)]
        for command in list(NOT_RUN) + list(FAILS):
            self.assertIn(command, all_commands)

    def test_the_readme_is_short(self):
        self.assertLessEqual(len(read(README).splitlines()), MOST_README_LINES)

    def test_links_lead_somewhere(self):
        for page in PAGES:
            for link in re.findall(r"\]\(([^)#]+)", read(page)):
                if not link.startswith("http"):
                    there = os.path.normpath(os.path.join(os.path.dirname(page), link))
                    # Of the tree itself: not all of it is declared here.
                    source = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
                    there = os.path.join(source, os.path.relpath(there, FILES))
                    self.assertTrue(os.path.exists(there), "%s: %s" % (page, link))

    def test_every_page_is_linked_from_the_readme(self):
        for page in PAGES[1:]:
            self.assertIn("(tools/manual/%s)" % os.path.basename(page), read(README))

    def test_every_option_that_is_named_is_one(self):
        taskmem = os.path.join(self.prefix, "bin/taskmem")
        options = set(OTHERS)
        for topic in ("run", "ps", "stats", "audit", "set", "top", "doctor", "metrics",
                      "record", "report", "simulate"):
            help_ = subprocess.run([taskmem, "help", topic], stdout=subprocess.PIPE, check=True)
            options |= set(re.findall(r"--[a-z][a-z-]*", help_.stdout.decode()))
        options |= {"--version", "--help", "--prefix", "--destdir", "--uninstall", "--check"}
        for page in PAGES:
            for number, line in enumerate(read(page).splitlines(), 1):
                for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line):
                    self.assertIn(option, options, "%s:%d" % (page, number))

    def test_every_command_that_is_named_in_a_line_is_one(self):
        taskmem = os.path.join(self.prefix, "bin/taskmem")
        names = {"run", "ps", "stats", "audit", "set", "top", "doctor", "metrics", "record",
                 "report", "simulate", "help"}
        for page in PAGES:
            for words in re.findall(r"`(?:tools/)?taskmem ([^`]+)`", read(page)):
                command = shlex.split(words)[0]
                if not command.startswith("-"):
                    self.assertIn(command, names, page)
                    known = subprocess.run([taskmem, "help", command], stdout=subprocess.PIPE,
                                           check=True).stdout.decode()
                    known += "--help"
                    mine = words.split(" -- ")[0]
                    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", mine):
                        self.assertIn(option, known, "%s: %s" % (page, words))


class ShownTest(unittest.TestCase):

    def test_lines_follow_each_other_but_for_dots(self):
        output = "task  name\n  1  a   3.0 MiB\n  2  b  7 B\n"
        self.assertIsNone(first_not_shown(["task name", " 7  a  -  21 KiB"], output))
        self.assertIsNone(first_not_shown(["...", "9 b 1.5 GiB"], output))
        self.assertEqual(first_not_shown(["task name", "2 b 7 B"], output), "2 b 7 B")
        self.assertEqual(first_not_shown(["...", "c"], output), "c")


def add_pages():
    for page in PAGES:
        name = os.path.basename(page)[:-len(".md")].lower()
        setattr(ManualTest, "test_commands_of_" + name,
                lambda self, page=page: self.run_page(page))


add_pages()

if __name__ == "__main__":
    unittest.main()
