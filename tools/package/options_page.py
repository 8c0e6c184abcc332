#!/usr/bin/python3
"""options_page.py COMMAND: the manual's page of options, from the help of the command."""

import sys

import help_text

_HEAD = """# Options of run

The table that the command and the library read makes this page (`tools/manual/update`). Each option
is also a variable: `--refuse-min` is `TASKMEM_REFUSE_MIN`, for programs that preload the library
without the command; `taskmem help run` prints them. Those without a value may have 1 or 0: `--overflow=0`. A bad value is one line, and
nothing starts; a `TASKMEM_` variable that is none of these is one line, and the program goes on.
Sizes are written `4096`, `64K`, `1.5GiB`; times `20us`, `250ms`, `1s`, `2m`.
"""


def row(option):
    name = option.name + (" " + option.value if option.value else "")
    sentence = option.sentence
    if option.values:
        sentence += " Values: %s." % option.values
    default = option.default or ("-" if option.value else "0")
    if option.variable is None:
        default = "-"
    return "| `%s` | %s | %s |" % (name, default, sentence)


def page(help_):
    lines = [_HEAD]
    for heading, options in help_.groups:
        rows = [row(option) for option in options if option.name != "--help"]
        if rows:
            lines.append("## %s\n\n| option | default | meaning |\n|---|---|---|" % heading)
            lines += rows + [""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(help_text.of(sys.argv[1], "run")))
