#!/usr/bin/python3
"""What is installed works, is replaced by a newer one, and goes without a trace: the Debian package in
a copy of this system, over which changes are laid, and the tree below a prefix. A C++ program outside
of this tree is built against it by pkg-config, CMake and Bazel, as tools/manual/api.md says."""

import gzip
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.environ["TEST_SRCDIR"], "taskmem/tests"))
# pylint: disable=wrong-import-position
import manual_blocks

FILES = os.path.join(os.environ["TEST_SRCDIR"], "taskmem")
SOURCES = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
TREE = os.path.join(FILES, "tools/package/tree.tar")
INSTALL_TREE = os.path.join(FILES, "tools/package/install_tree")
MAKE_DEB = os.path.join(FILES, "tools/package/make_deb.py")
OLDER = "0.1.9"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def environment(**more):
    # Those of the test's own folders would be the nested build's, too.
    kept = {key: value for key, value in os.environ.items()
            if key in ("PATH", "HOME", "TMPDIR", "USER", "LANG")}
    kept.setdefault("HOME", "/root")
    kept["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**kept, **more}


def run(*command, timeout=120, cwd=None, **more):
    return subprocess.run(command, env=environment(**more), cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                          encoding="utf-8", errors="replace")


def has_overlays():
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = run("unshare", "-m", "-p", "-f", "sh", "-c",
                   "mount --make-rprivate / && mount -t tmpfs none $F && mkdir $F/u $F/w $F/m && "
                   "mount -t overlay overlay -o lowerdir=/,upperdir=$F/u,workdir=$F/w $F/m && "
                   "mount -t proc none $F/m/proc && mount --rbind /dev $F/m/dev", F=folder)
        return done.returncode == 0


def version():
    return re.search(r'kVersion\[\] = "(.*)"', read(os.path.join(FILES, "shim/base/version.h")))[1]


class Case(unittest.TestCase):

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def succeed(self, *command, **more):
        done = run(*command, **more)
        self.assertEqual(done.returncode, 0, "%s\n%s" % (" ".join(command), done.stdout))
        return done.stdout

    def deb(self, number=None):
        output = self.path("taskmem_%s.deb" % (number or "new"))
        self.succeed("/usr/bin/python3", MAKE_DEB, TREE, output, *([number] if number else []))
        return output


class VersionTest(unittest.TestCase):

    def test_changes_and_soname_have_it(self):
        changes = read(os.path.join(FILES, "tools/CHANGELOG.md"))
        self.assertEqual(re.search(r"^## (.*)$", changes, re.MULTILINE)[1], version())
        dynamic = subprocess.run(["readelf", "-d", os.path.join(FILES, "shim/libtaskmem.so")],
                                 stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
        self.assertIn("soname: [libtaskmem.so.%s]" % version().split(".", maxsplit=1)[0], dynamic)


class Terminal:
    """A program in a pseudo-terminal, which ends, with what it started, at the end of the block."""

    def __init__(self, *words, **environment):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # Whatever happens, the tests are not run a second time, in a child.
            try:
                os.execvpe(words[0], words, {**os.environ, **environment})
            finally:
                os._exit(127)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The terminal goes first: what the program has in the background is told so.
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def send(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text):
        """Waits until that is written, and forgets what was before it."""
        while text not in self.text:
            ready, _, _ = select.select([self.fd], [], [], 60)
            if not ready:
                raise AssertionError("%r is not in %r" % (text, self.text))
            self.text += os.read(self.fd, 4096).decode(errors="replace")
        self.text = self.text[self.text.index(text) + len(text):]


@unittest.skipUnless(has_overlays(), "no overlay can be mounted here")
class PackageTest(Case):

    def in_copy(self, script):
        """A shell whose root is this system's, where changes go to the folder `changed`."""
        self.changed = self.path("disk/changed")
        return self.succeed(
            "unshare", "-m", "-p", "-f", "sh", "-c",
            "set -e; mount --make-rprivate /; mkdir $F/disk; mount -t tmpfs none $F/disk; "
            "mkdir $F/disk/changed $F/disk/work $F/disk/root; "
            "mount -t overlay overlay -o lowerdir=/,upperdir=$F/disk/changed,workdir=$F/disk/work "
            "$F/disk/root; "
            "mkdir -p $F/disk/root/debs; cp $F/*.deb $F/disk/root/debs/; "
            "mount -t proc none $F/disk/root/proc; mount --rbind /dev $F/disk/root/dev; "
            "mount -t tmpfs none $F/disk/root/tmp; "
            "chroot $F/disk/root sh -e -c \"$SCRIPT\"; "
            "rm -r $F/disk/changed/debs; cd $F/disk/changed; "
            "echo LEFT; find . -not -type d -not -path './dev/*'", F=self.folder, SCRIPT=script,
            timeout=300)

    def test_it_installs_runs_upgrades_and_goes(self):
        shutil.move(self.deb(), self.path("new.deb"))
        shutil.move(self.deb(OLDER), self.path("old.deb"))
        out = self.in_copy(r"""
            dpkg -s taskmem >/dev/null 2>&1 && dpkg --purge taskmem
            export DEBIAN_FRONTEND=noninteractive
            dpkg -i /debs/old.deb
            taskmem run --quiet -- true
            dpkg -i /debs/new.deb
            echo "INSTALLED $(dpkg-query -W -f '${Version}' taskmem) $(taskmem --version)"
            taskmem run --quota 64M -- python3 -c 'bytearray(100 << 20)' 2>&1 | grep -a MemoryError
            taskmem run --quiet --audit /audit.json --stats /stats.json -- python3 -c 'bytearray(1 << 20)'
            LD_PRELOAD=/usr/lib/libtaskmem.so.0 TASKMEM_QUOTA=64M python3 -c \
              'bytearray(100 << 20)' 2>&1 | grep -a MemoryError
            ldconfig -p | grep libtaskmem.so.0
            # Where it is installed there may be none: systems of containers leave them out.
            dpkg-deb -x /debs/new.deb /tmp/content
            for page in /tmp/content/usr/share/man/man?/taskmem*; do
              zcat $page | groff -Kutf8 -t -man -ww -Tutf8 -rLL=80n >/page 2>/errors
              test -s /page; test ! -s /errors || { echo $page; cat /errors; exit 1; }
            done
            cat /audit.json
            echo END
            rm -r /audit.json /stats.json /page /errors
            dpkg --purge taskmem
            test ! -e /usr/bin/taskmem
        """)
        self.assertIn("INSTALLED %s taskmem %s" % (version(), version()), out)
        audit = json.loads(out[out.index("{\n"):out.index("END")])
        kinds = [entry["kind"] for entry in audit["at_exit"]["kinds"] if entry["class"] == "own"]
        self.assertIn("libtaskmem.so", kinds)
        self.assertEqual(audit["at_exit"]["unknown_bytes"], 0)
        left = [name for name in out.split("LEFT\n")[1].split()
                if not re.match(r"\./(var/lib/dpkg|var/log|var/cache|etc/ld\.so\.cache|run)(/|$)",
                                name)]
        # Of the interpreters that ran meanwhile.
        left = [name for name in left if "__pycache__" not in name]
        self.assertEqual(left, [])


class ScriptTest(unittest.TestCase):

    def test_what_it_cannot_do_is_one_line(self):
        for words, text in [(["--prefix"], "usage"), (["--nonsense"], "usage"),
                            (["--prefix", "usr"], "no absolute path: usr"), (["extra"], "usage"),
                            (["--uninstall", "--prefix", "/nowhere"], "is not installed in /nowhere")]:
            done = run(os.path.join(SOURCES, "tools/install"), *words)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertRegex(done.stdout, "^taskmem: .*%s.*\n$" % re.escape(text))


class TreeTest(Case):

    def install(self, *more):
        return self.succeed(INSTALL_TREE, TREE, "/usr/local", self.path("root"), *more)

    def names(self):
        return sorted(os.path.join(at, name)[len(self.path("root/usr/local/")):]
                      for at, folders, files in os.walk(self.path("root"))
                      for name in folders + files)

    def test_it_installs_upgrades_and_goes(self):
        os.makedirs(self.path("root/usr/local/bin"))
        before = self.names()
        self.install()
        command = self.path("root/usr/local/bin/taskmem")
        self.assertEqual(self.succeed(command, "--version"), "taskmem %s\n" % version())
        out = self.succeed(command, "run", "--quota", "64M", "--", "/bin/sh", "-c", "true",
                           TASKMEM_STATS_DIR=self.path("stats"))
        self.assertIn("total", out)
        names = self.names()
        # What an older one had, and this one has not, goes; what others have there stays.
        with open(self.path("root/usr/local/share/taskmem/files"), "a", encoding="utf-8") as file:
            file.write("lib/old/\nlib/old/file\n")
        os.mkdir(self.path("root/usr/local/lib/old"))
        for name in ("lib/old/file", "bin/other"):
            with open(self.path("root/usr/local/" + name), "w", encoding="utf-8"):
                pass
        self.install()
        self.assertEqual(self.names(), sorted(names + ["bin/other"]))
        os.remove(self.path("root/usr/local/bin/other"))
        self.succeed(INSTALL_TREE, "--remove", "/usr/local", self.path("root"))
        self.assertEqual(self.names(), before)
        done = run(INSTALL_TREE, "--remove", "/usr/local", self.path("root"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("is not installed", done.stdout)

    def test_a_program_audits_itself_by_the_installed_command(self):
        self.install()
        prefix = self.path("root/usr/local")
        self.write("self.c", '#include <taskmem.h>\nint main(int n, char** a) {\n'
                   '  (void)n;\n  return taskmem_audit(a[1]);\n}\n')
        self.succeed("gcc", "-I" + prefix + "/include", self.path("self.c"), "-o", self.path("self"))
        self.succeed(self.path("self"), self.path("audit.json"),
                     LD_PRELOAD=prefix + "/lib/libtaskmem.so.0", TASKMEM_STATS_DIR=self.path("stats"))
        self.assertEqual(json.loads(read(self.path("audit.json")))["schema"], "taskmem-audit-1")

    def test_bash_completes(self):
        self.install()
        script = self.path("root/usr/local/share/bash-completion/completions/taskmem")
        for words, wanted in [
                (["taskmem", "au"], {"audit"}),
                (["taskmem", "run", "--quo"], {"--quota"}),
                (["taskmem", "run", "--at-limit", ""], {"refuse", "overdraw", "kill"}),
                (["taskmem", "run", "--task-by", "thr"], {"thread", "thread-name="}),
                (["taskmem", "ps", "--d"], {"--dead"}),
                (["taskmem", "help", "sta"], {"stats"}),
                (["taskmem", "run", "--", "gunzi"], {"gunzip"})]:
            out = self.succeed(
                "bash", "-c", "source $SCRIPT; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _taskmem; "
                "printf '%s\\n' \"${COMPREPLY[@]}\"", "bash", *words, SCRIPT=script)
            self.assertEqual(set(out.split()), wanted, words)

    def test_man_pages_say_what_help_says(self):
        self.install()

        def page(name):
            with gzip.open(self.path("root/usr/local/share/man/" + name), "rt") as file:
                return file.read().replace("\\-", "-")

        self.assertIn("\ntaskmem run -- python3 script.py\n", page("man1/taskmem.1.gz"))
        self.assertIn("\\fB--quota\\fR \\fIBYTES\\fR\nWhat each task may hold.\n",
                      page("man1/taskmem-run.1.gz"))
        self.assertIn(".SH AT THE LIMIT\n", page("man7/taskmem-quotas.7.gz"))

    def test_zsh_script_is_of_the_same_options(self):
        self.install()
        text = read(self.path("root/usr/local/share/zsh/site-functions/_taskmem"))
        help_ = self.succeed(self.path("root/usr/local/bin/taskmem"), "help", "run")
        for option in re.findall(r"^  (--[a-z-]+)", help_, re.MULTILINE):
            self.assertIn("'%s[" % option, text)

    def test_zsh_completes(self):
        self.install()
        folder = self.path("root/usr/local/share/zsh/site-functions")
        os.symlink(self.path("root/usr/local/bin/taskmem"), self.path("taskmem"))
        with Terminal("zsh", "-f", "-i", PATH=self.folder + ":" + os.environ["PATH"], PS1="ready> ",
                      TERM="dumb", HOME=self.folder) as shell:
            shell.expect("ready> ")
            shell.send("fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=0\n" % folder)
            shell.expect("ready> ")
            for typed, wanted in [("taskmem au", "audit "), ("taskmem run --quo", "--quota "),
                                  ("taskmem run --at-limit ove", "overdraw "),
                                  ("taskmem run --task-by proc", "process "),
                                  ("taskmem help sta", "stats "), ("taskmem audit --by m", "module "),
                                  ("taskmem ps --de", "--dead "),
                                  ("taskmem run -- gunzi", "gunzip "), ("taskmem run gunzi", "gunzip "),
                                  ("taskmem run -- ls /etc/hostna", "/etc/hostname")]:
                # What the line is, as it would be run.
                shell.send(typed + "\t")
                shell.expect(wanted)
                shell.send("\x15\n")
                shell.expect("ready> ")

    def test_systemd_takes_the_drop_in(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd here")
        self.install()
        drop_in = read(self.path("root/usr/local/share/doc/taskmem/examples/systemd.conf"))
        self.write("units/engine.service", "[Service]\nExecStart=/bin/true\n")
        for text, wanted in [(drop_in, ""), (drop_in + "Nonsense=1\n", "'Nonsense'")]:
            self.write("units/engine.service.d/taskmem.conf", text)
            done = run("systemd-analyze", "verify", "--man=no", self.path("units/engine.service"),
                       SYSTEMD_UNIT_PATH=self.path("units") + ":")
            said = [line for line in done.stdout.splitlines() if "engine.service" in line]
            self.assertEqual(bool(said), bool(wanted), done.stdout)
            self.assertIn(wanted, "\n".join(said))

    def test_the_examples_name_what_is_there(self):
        self.install()
        examples = self.path("root/usr/local/share/doc/taskmem/examples/")
        service = read(examples + "systemd.conf")
        variables = dict(re.findall(r"^Environment=(\w+)=(.*)$", service, re.MULTILINE))
        self.assertEqual(variables["LD_PRELOAD"], "/usr/local/lib/libtaskmem.so.0")
        variables["LD_PRELOAD"] = self.path("root") + variables["LD_PRELOAD"]
        variables["TASKMEM_LOG"] = self.path("log")
        self.assertEqual(run("/bin/true", **variables).stdout, "")
        self.assertIn(" TASKMEM_QUOTA=1G ", read(self.path("log")))
        entry = re.search(r"^ENTRYPOINT (.*)$", read(examples + "Containerfile"), re.MULTILINE)
        started = re.search(r"^CMD (.*)$", read(examples + "Containerfile"), re.MULTILINE)
        words = json.loads(entry[1]) + json.loads(started[1])
        words[0] = self.path("root/usr/local/bin/taskmem")
        self.assertIn("started", self.succeed(*words, TASKMEM_STATS_DIR=self.path("stats")))

    # A program outside of this tree.

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def write_program(self):
        self.files = {**manual_blocks.files(os.path.join(FILES, "README.md")),
                      **manual_blocks.files(os.path.join(FILES, "tools/manual/api.md"))}
        for name in ("engine.cc", "CMakeLists.txt"):
            self.write("outside/" + name, self.files[name])

    def expect_works(self, program):
        prefix = self.path("root/usr/local")
        self.assertEqual(self.succeed(program), "no taskmem here\n")
        out = self.succeed(prefix + "/bin/taskmem", "run", "--task-by", "none", "--", program,
                           TASKMEM_STATS_DIR=self.path("stats"))
        self.assertIn("query 2: refused", out)
        self.assertRegex(out, r"2 +query 2 .* 1\n")

    def test_pkg_config(self):
        self.install()
        self.write_program()
        flags = self.succeed("pkg-config", "--cflags", "--libs", "taskmem",
                             PKG_CONFIG_PATH=self.path("root/usr/local/lib/pkgconfig")).split()
        self.assertEqual(self.succeed("pkg-config", "--modversion", "taskmem", PKG_CONFIG_PATH=
                                      self.path("root/usr/local/lib/pkgconfig")).strip(), version())
        self.succeed("g++", "-std=c++17", "-Wall", "-Werror", *flags, self.path("outside/engine.cc"),
                     "-o", self.path("engine"))
        self.expect_works(self.path("engine"))

    def test_cmake(self):
        self.install()
        self.write_program()
        self.succeed("cmake", "-S", self.path("outside"), "-B", self.path("build"),
                     "-DCMAKE_PREFIX_PATH=" + self.path("root/usr/local"))
        self.succeed("cmake", "--build", self.path("build"))
        self.expect_works(self.path("build/engine"))

    def test_bazel(self):
        self.install()
        self.write_program()
        os.remove(self.path("outside/CMakeLists.txt"))
        self.write("outside/WORKSPACE",
                   self.files["WORKSPACE"].replace("/path/to/taskmem", SOURCES))
        self.write("outside/BUILD", self.files["BUILD"])
        bazel = ("bazel", "--batch", "--output_user_root=" + self.path("bazel"))
        common = dict(cwd=self.path("outside"), HOME=self.folder, timeout=400)
        self.succeed(*bazel, "build", "--experimental_repository_disable_download", "//:engine",
                     **common)
        self.expect_works(self.path("outside/bazel-bin/engine"))
        run("chmod", "-R", "u+w", self.path("bazel"))


if __name__ == "__main__":
    unittest.main()
