#!/usr/bin/python3
"""make_deb.py TREE OUTPUT [VERSION]: a Debian package of a tree (make_tree.py), by default of the
version that the tree's pkg-config file has."""

import os
import re
import subprocess
import sys
import tarfile
import tempfile

_CONTROL = """Package: taskmem
Version: %s
Architecture: %s
Maintainer: taskmem <taskmem@localhost>
Installed-Size: %d
Depends: %s
Section: utils
Priority: optional
Description: memory management by tasks for unmodified native programs
 Charges every allocation of a program to the task its thread works for, holds
 each task to its quota, and lets all tasks share the memory of the process, as
 Apache Spark does. A preload library, a command, and the headers of its API.
"""


def dependencies(root):
    """Of the command; the library needs libc alone, as the command does."""
    os.makedirs(os.path.join(root, "..", "work", "debian"))
    work = os.path.join(root, "..", "work")
    with open(os.path.join(work, "debian/control"), "w", encoding="utf-8") as file:
        file.write("Source: taskmem\n\nPackage: taskmem\nArchitecture: any\n")
    done = subprocess.run(
        ["dpkg-shlibdeps", "-O", "--warnings=0", os.path.join(root, "usr/bin/taskmem"),
         os.path.join(root, "usr/lib/libtaskmem.so")],
        cwd=work, stdout=subprocess.PIPE, check=True)
    # `taskmem metrics` loads the last one itself, when it serves.
    return re.search(r"shlibs:Depends=(.*)", done.stdout.decode())[1] + ", libmicrohttpd12"


def main(tree, output, version=None):
    with tempfile.TemporaryDirectory() as folder:
        root = os.path.join(folder, "root")
        with tarfile.open(tree) as tar:
            tar.extractall(os.path.join(root, "usr"))
        # Debian's zsh looks there for what packages have.
        os.makedirs(os.path.join(root, "usr/share/zsh/vendor-completions"))
        os.rename(os.path.join(root, "usr/share/zsh/site-functions/_taskmem"),
                  os.path.join(root, "usr/share/zsh/vendor-completions/_taskmem"))
        os.rmdir(os.path.join(root, "usr/share/zsh/site-functions"))
        if version is None:
            with open(os.path.join(root, "usr/lib/pkgconfig/taskmem.pc"), encoding="utf-8") as file:
                version = re.search(r"^Version: (.*)", file.read(), re.MULTILINE)[1]
        size = sum(os.lstat(os.path.join(at, name)).st_size
                   for at, _, names in os.walk(root) for name in names)
        architecture = subprocess.run(["dpkg", "--print-architecture"], stdout=subprocess.PIPE,
                                      check=True).stdout.decode().strip()
        needed = dependencies(root)
        os.makedirs(os.path.join(root, "DEBIAN"))
        with open(os.path.join(root, "DEBIAN/control"), "w", encoding="utf-8") as file:
            file.write(_CONTROL % (version, architecture, (size + 1023) // 1024, needed))
        with open(os.path.join(root, "DEBIAN/triggers"), "w", encoding="utf-8") as file:
            file.write("activate-noawait ldconfig\n")
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, output],
                       stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
