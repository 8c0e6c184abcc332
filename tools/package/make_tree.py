#!/usr/bin/python3
"""make_tree.py OUTPUT NAME=FILE...: a tar of what is installed below a prefix.

Each NAME is one of: command, library, version, license, or a path below the prefix, at which FILE is
put as it is; names under manual/ are pages of the manual, of which man pages are made, too."""

import gzip
import io
import os
import re
import sys
import tarfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import completion
import help_text
import man_page

_PKG_CONFIG = """prefix=${pcfiledir}/../..
includedir=${prefix}/include

Name: taskmem
Description: Memory management by tasks; the API is a header, and there is nothing to link
Version: %s
Cflags: -I${includedir}
"""

_CMAKE = """# taskmem::taskmem: the headers of the API; there is nothing to link.
get_filename_component(_taskmem_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET taskmem::taskmem)
  add_library(taskmem::taskmem INTERFACE IMPORTED)
  set_target_properties(taskmem::taskmem PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${_taskmem_prefix}/include")
endif()
# What is preloaded, and what runs programs so.
set(TASKMEM_LIBRARY "${_taskmem_prefix}/lib/libtaskmem.so.%s")
set(TASKMEM_COMMAND "${_taskmem_prefix}/bin/taskmem")
"""

_CMAKE_VERSION = """set(PACKAGE_VERSION "%s")
if(PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION STREQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
"""

_SEE_ALSO = """.SH EXIT STATUS
That of the program, for \\fBtaskmem run\\fR. Else 0; 1 where it could not be done; 2 where the command
line or a setting is wrong; 126 and 127 where the program cannot be run or is not there.
.SH SEE ALSO
""".split("\n")[:-1]


class Tree:

    def __init__(self, path):
        self.tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)
        self.folders = set()

    def _entry(self, path, kind, mode):
        folder = os.path.dirname(path)
        if folder and folder not in self.folders:
            self._entry_of_folder(folder)
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.uname, entry.gname = kind, mode, "root", "root"
        return entry

    def _entry_of_folder(self, folder):
        self.folders.add(folder)
        self.tar.addfile(self._entry(folder, tarfile.DIRTYPE, 0o755))

    def add(self, path, content, mode=0o644):
        entry = self._entry(path, tarfile.REGTYPE, mode)
        if isinstance(content, str):
            content = content.encode()
        entry.size = len(content)
        self.tar.addfile(entry, io.BytesIO(content))

    def link(self, path, target):
        entry = self._entry(path, tarfile.SYMTYPE, 0o777)
        entry.linkname = target
        self.tar.addfile(entry)

    def add_man(self, name, text):
        section = name.rsplit(".", 1)[1]
        self.add("share/man/man%s/%s.gz" % (section, name),
                 gzip.compress(text.encode(), mtime=0))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main(output, files):
    version = re.search(r'kVersion\[\] = "([0-9.]+)"', read(files.pop("version")).decode())[1]
    tree = Tree(output)
    command = files.pop("command")
    tree.add("bin/taskmem", read(command), 0o755)
    library = "libtaskmem.so." + version
    soname = "libtaskmem.so." + version.split(".")[0]
    tree.add("lib/" + library, read(files.pop("library")), 0o644)
    tree.link("lib/" + soname, library)
    tree.link("lib/libtaskmem.so", soname)
    tree.add("lib/pkgconfig/taskmem.pc", _PKG_CONFIG % version)
    tree.add("lib/cmake/taskmem/taskmemConfig.cmake", _CMAKE % version.split(".")[0])
    tree.add("lib/cmake/taskmem/taskmemConfigVersion.cmake", _CMAKE_VERSION % version)

    pages = sorted(os.path.basename(name)[:-len(".md")] for name in files
                   if name.startswith("manual/"))
    man_pages = ["taskmem-%s(7)" % page for page in pages if page != "options"]
    names = [name for name in help_text.commands(command) if name != "help"]
    helps = {name: help_text.of(command, name) for name in names}
    see = ["taskmem(1)"] + ["taskmem-%s(1)" % name for name in names] + man_pages
    see_also = _SEE_ALSO + [", ".join("\\fB%s\\fR" % one.replace("-", "\\-") for one in see)]
    tree.add_man("taskmem.1", man_page.of_command("taskmem", version, help_text.of(command), see_also))
    for name in names:
        tree.add_man("taskmem-%s.1" % name,
                     man_page.of_command("taskmem " + name, version, helps[name], see_also))
    for path in sorted(name for name in files if name.startswith("manual/")):
        text = read(files.pop(path))
        page = os.path.basename(path)
        tree.add("share/doc/taskmem/tools/manual/" + page, text)
        if page != "options.md":
            name = "taskmem-" + page[:-len(".md")]
            tree.add_man(name + ".7", man_page.from_markdown(name, version, text.decode()))
    tree.add("share/bash-completion/completions/taskmem", completion.bash(helps))
    tree.add("share/zsh/site-functions/_taskmem", completion.zsh(helps))

    licenses = [files.pop(name) for name in sorted(files) if name.startswith("license/")]
    tree.add("share/doc/taskmem/copyright", b"\n\n".join(read(path) for path in licenses))
    for path, file in sorted(files.items()):
        tree.add(path, read(file))
    tree.tar.close()


if __name__ == "__main__":
    main(sys.argv[1], dict(argument.split("=", 1) for argument in sys.argv[2:]))
