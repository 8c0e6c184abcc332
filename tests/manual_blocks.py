"""The fenced blocks of README.md and the manual, which are kept as they are tried.

A fence's first word is the language, and its second, where there is one, names the file that the
block is: "```cpp engine.cc"."""

import collections
import re

Block = collections.namedtuple("Block", "language file text line")


def blocks(path):
    found, language, lines, start = [], None, [], 0
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fence = re.match(r"```(.*)", line)
            if not fence:
                if language is not None:
                    lines.append(line)
            elif language is None:
                language, lines, start = fence[1].split(), [], number
            else:
                found.append(Block(language[0] if language else "",
                                   language[1] if len(language) > 1 else None,
                                   "".join(lines), start))
                language = None
    assert language is None, "%s: the block of line %d has no end" % (path, start)
    return found


def files(path):
    """{name: text} of the blocks that are files."""
    return {block.file: block.text for block in blocks(path) if block.file}
