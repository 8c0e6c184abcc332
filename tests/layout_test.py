#!/usr/bin/env python3
"""The folders of each layer: their order, their size, and a line for each in a README.

Reads the source tree itself; Bazel's visibility keeps the same order while it builds."""

import os
import re
import tempfile
import unittest

# From the bottom up: a layer includes only those before it.
LAYERS = ["accounting", "spill", "shim", "tools"]
# Folders of small programs: no order, but a size and a README.
COLLECTIONS = ["tests/programs"]
# What callers include lies beside the folders.
PUBLIC = ["shim/taskmem.h", "shim/taskmem.hpp"]
MOST_MODULES = 15
SOURCE = re.compile(r"\.(h|hpp|cc|c|inc)$")
BESIDE = re.compile(r"_(test|testing|fuzz)$")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def sources(folder):
    if not os.path.isdir(folder):
        return []
    return sorted(name for name in os.listdir(folder) if SOURCE.search(name))


def subfolders(folder):
    return sorted(
        name for name in os.listdir(folder) if sources(os.path.join(folder, name)))


def declared_order(build):
    """The names in the call of folders() (tools/bazel/folders.bzl)."""
    call = re.search(r"^folders\(.*?^\)", build, re.DOTALL | re.MULTILINE)
    names = call and re.search(r"names = \[(.*?)\]", call.group(0), re.DOTALL)
    return re.findall(r'"([^"]+)"', names.group(1)) if names else []


def readme_order(readme):
    """The folders that have a row of their own: | [name](name) | sentence |."""
    return [
        row.group(1)
        for row in re.finditer(r"^\| \[(\w+)\]\(\1/?\) \| *[^| ]", readme, re.MULTILINE)
    ]


def module_of(path):
    """A header and its source are one module: DIR/stem."""
    return SOURCE.sub("", path)


def includes_of_modules(root, folder):
    """What the modules directly in `folder` include: (module, module that is included)."""
    for name in sources(os.path.join(root, folder)):
        module = module_of(folder + "/" + name)
        text = read(os.path.join(root, folder, name))
        for path in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE):
            if path.split("/")[0] in LAYERS and module_of(path) != module:
                yield module, module_of(path)


def includes(root, folder):
    """What the sources directly in `folder` include: (source, folder of what is included)."""
    for name in sources(os.path.join(root, folder)):
        text = read(os.path.join(root, folder, name))
        for path in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE):
            if path.split("/")[0] in LAYERS:
                yield folder + "/" + name, os.path.dirname(path)


def cycles(graph):
    """One list of nodes for each cycle that a walk in depth comes back to."""
    found, done = [], set()

    def walk(folder, path):
        if folder in path:
            found.append(path[path.index(folder):] + [folder])
            return
        if folder in done:
            return
        for below in sorted(graph.get(folder, ())):
            walk(below, path + [folder])
        done.add(folder)

    for folder in sorted(graph):
        walk(folder, [])
    return found


def size_complaints(root, folder):
    modules = {
        SOURCE.sub("", name) for name in sources(os.path.join(root, folder))
    }
    modules = {module for module in modules if not BESIDE.search(module)}
    if len(modules) > MOST_MODULES:
        yield "%s: %d modules, more than %d" % (folder, len(modules), MOST_MODULES)


def readme_complaints(root, parent, names):
    path = os.path.join(root, parent, "README.md")
    rows = readme_order(read(path)) if os.path.exists(path) else []
    for name in names:
        if name not in rows:
            yield "%s/%s: no line in %s/README.md" % (parent, name, parent)
    for row in rows:
        if row not in names:
            yield "%s/README.md: a line for %s, which is no folder of sources" % (parent, row)


def layer_complaints(root, layer):
    build_path = os.path.join(root, layer, "BUILD")
    order = declared_order(read(build_path)) if os.path.exists(build_path) else []
    present = subfolders(os.path.join(root, layer))
    for name in set(present) ^ set(order):
        yield "%s/%s: a folder with sources, or a name in folders() of %s/BUILD, but not both" % (
            layer, name, layer)
    yield from readme_complaints(root, layer, present)
    path = os.path.join(root, layer, "README.md")
    if os.path.exists(path):
        rows = [row for row in readme_order(read(path)) if row in order]
        if rows != [name for name in order if name in rows]:
            yield "%s/README.md: its table has another order than folders() in BUILD" % layer
    for name in sources(os.path.join(root, layer)):
        if layer + "/" + name not in PUBLIC:
            yield "%s/%s: lies beside the folders, not in one" % (layer, name)
    for name in present:
        yield from size_complaints(root, layer + "/" + name)
        build = os.path.join(root, layer, name, "BUILD")
        wanted = '"//%s:above_%s"' % (layer, name)
        default = re.search(r"default_visibility = \[([^\]]*)\]",
                            read(build)) if os.path.exists(build) else None
        if default is None or default.group(1).strip() not in (wanted, '"//visibility:private"'):
            yield "%s/%s/BUILD: default_visibility is not [%s]" % (layer, name, wanted)
    place = {layer + "/" + name: at for at, name in enumerate(order)}
    for name in present:
        here = layer + "/" + name
        for source, there in includes(root, here):
            if place.get(there, -1) > place.get(here, len(order)):
                yield "%s includes %s, which stands above it" % (source, there)


def complaints(root):
    found, graph, modules = [], {}, {}
    for at, layer in enumerate(LAYERS):
        if not os.path.isdir(os.path.join(root, layer)):
            continue
        found += layer_complaints(root, layer)
        for folder in [layer] + [layer + "/" + n for n in subfolders(os.path.join(root, layer))]:
            for source, there in includes(root, folder):
                if LAYERS.index(there.split("/")[0]) > at:
                    found.append("%s includes %s, a layer above its own" % (source, there))
                if there != folder:
                    graph.setdefault(folder, set()).add(there)
            for module, there in includes_of_modules(root, folder):
                modules.setdefault(module, set()).add(there)
    for cycle in cycles(graph):
        found.append("folders include each other: " + " -> ".join(cycle))
    for cycle in cycles(modules):
        found.append("modules include each other: " + " -> ".join(cycle))
    for collection in COLLECTIONS:
        if not os.path.isdir(os.path.join(root, collection)):
            continue
        names = subfolders(os.path.join(root, collection))
        found += readme_complaints(root, collection, names)
        for name in names:
            found += size_complaints(root, collection + "/" + name)
    return found


class LayoutTest(unittest.TestCase):

    def test_this_tree_keeps_the_rules(self):
        root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
        self.assertTrue(os.path.exists(os.path.join(root, "WORKSPACE")), root)
        found = complaints(root)
        self.assertEqual(found, [], "\n".join(found))


class RulesTest(unittest.TestCase):
    """Each rule, broken in a small tree."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        for layer in LAYERS:
            self.write(layer + "/BUILD", 'folders(\n    names = [\n        "low",\n        "high",\n    ],\n)\n')
            self.write(layer + "/README.md", "| [low](low) | x |\n| [high](high) | y |\n")
            for name in ("low", "high"):
                self.write("%s/%s/BUILD" % (layer, name),
                           'package(default_visibility = ["//%s:above_%s"])\n' % (layer, name))
                self.write("%s/%s/a.h" % (layer, name), "")
        self.write("shim/high/a.cc",
                   '#include "shim/high/a.h"\n#include "shim/low/a.h"\n#include "spill/high/a.h"\n')

    def write(self, path, text):
        path = os.path.join(self.folder.name, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def assert_complains(self, *parts):
        found = complaints(self.folder.name)
        self.assertTrue(any(all(part in line for part in parts) for line in found), found)

    def test_nothing_to_say(self):
        self.assertEqual(complaints(self.folder.name), [])

    def test_includes_a_folder_above(self):
        self.write("spill/low/b.cc", '#include "spill/high/a.h"\n')
        self.assert_complains("spill/low/b.cc includes spill/high", "above it")

    def test_includes_a_layer_above(self):
        self.write("accounting/high/b.inc", '#include "shim/low/a.h"\n')
        self.assert_complains("accounting/high/b.inc includes shim/low", "a layer above")

    def test_a_cycle(self):
        self.write("spill/low/b.cc", '#include "spill/high/a.h"\n')
        self.write("spill/high/b.cc", '#include "spill/low/a.h"\n')
        self.assert_complains("include each other: spill/high -> spill/low -> spill/high")

    def test_a_cycle_of_modules_in_a_folder(self):
        self.write("spill/low/b.h", "")
        self.write("spill/low/b.cc", '#include "spill/low/b.h"\n#include "spill/low/c.h"\n')
        self.write("spill/low/c.h", '#include "spill/low/b.h"\n')
        self.assert_complains("modules include each other: spill/low/b -> spill/low/c -> spill/low/b")

    def test_a_cycle_of_modules_across_folders(self):
        self.write("spill/low/b.h", '#include "spill/high/b.h"\n')
        self.write("spill/high/b.h", '#include "spill/low/c.h"\n')
        self.write("spill/low/c.cc", '#include "spill/low/b.h"\n')
        self.assert_complains(
            "modules include each other: spill/high/b -> spill/low/c -> spill/low/b -> spill/high/b")

    def test_headers_that_are_included_once_more_below_are_no_cycle(self):
        self.write("spill/low/b.h", "")
        self.write("spill/low/c.cc", '#include "spill/low/b.h"\n')
        self.write("spill/high/b.cc", '#include "spill/low/b.h"\n')
        self.assertEqual(complaints(self.folder.name), [])

    def test_too_many_modules(self):
        for number in range(MOST_MODULES):
            self.write("tools/low/m%d.cc" % number, "")
        self.assert_complains("tools/low: 16 modules")

    def test_tests_beside_modules_do_not_count(self):
        for number in range(MOST_MODULES):
            self.write("tools/low/m%d_test.cc" % number, "")
        self.assertEqual(complaints(self.folder.name), [])

    def test_no_line_in_the_readme(self):
        self.write("spill/README.md", "| [low](low) | x |\nhigh\n")
        self.assert_complains("spill/high: no line in spill/README.md")

    def test_a_line_without_a_sentence(self):
        self.write("spill/README.md", "| [low](low) | x |\n| [high](high) | |\n")
        self.assert_complains("spill/high: no line in spill/README.md")

    def test_a_line_for_no_folder(self):
        self.write("spill/README.md",
                   "| [low](low) | x |\n| [high](high) | y |\n| [gone](gone) | z |\n")
        self.assert_complains("a line for gone")

    def test_another_order_in_the_readme(self):
        self.write("spill/README.md", "| [high](high) | y |\n| [low](low) | x |\n")
        self.assert_complains("spill/README.md", "another order")

    def test_a_folder_without_a_place(self):
        self.write("spill/new/a.cc", "")
        self.assert_complains("spill/new", "folders()")

    def test_a_source_in_no_folder(self):
        self.write("spill/a.cc", "")
        self.assert_complains("spill/a.cc", "beside the folders")

    def test_a_folder_that_everybody_sees(self):
        self.write("spill/low/BUILD", 'package(default_visibility = ["//visibility:public"])\n')
        self.assert_complains("spill/low/BUILD", "default_visibility")

    def test_programs(self):
        for number in range(MOST_MODULES + 1):
            self.write("tests/programs/fork/m%d.cc" % number, "")
        self.assert_complains("tests/programs/fork: 16 modules")
        self.assert_complains("tests/programs/fork: no line in tests/programs/README.md")


if __name__ == "__main__":
    unittest.main()
