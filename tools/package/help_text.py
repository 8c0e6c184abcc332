"""What `taskmem help` says, taken apart: the help is made from the table of options, and man pages,
completions and the manual's page of options are made from the help."""

import collections
import re
import subprocess

Option = collections.namedtuple("Option", "name value sentence values default variable")
# groups: a list of (heading, [Option]); examples: lines.
Help = collections.namedtuple("Help", "sentence usage groups examples")

_SENTENCE = re.compile(r"^(?P<sentence>.*?)(?: Values: (?P<values>.*?)\.)?"
                       r"(?: Default: (?P<default>\S+)\.)?(?: \[(?P<variable>TASKMEM_\w+)\])?$")


def _option(heading, sentence):
    """`--quota BYTES` or `--spill TASK [BYTES]`, or `-h,--help`, or a positional."""
    words = heading.split()
    name = words[0].split(",")[-1]
    value = " ".join(words[1:]) or None
    parts = _SENTENCE.match(sentence)
    return Option(name, value, parts["sentence"], parts["values"], parts["default"],
                  parts["variable"])


def parse(text):
    blocks = text.strip().split("\n")
    sentence, usage, groups, examples = blocks[0], "", [], None
    pending = None  # [heading, words of its sentence]

    def finish():
        nonlocal pending
        if pending:
            groups[-1][1].append(_option(pending[0], " ".join(pending[1])))
        pending = None

    for line in blocks[1:]:
        if line.startswith("Usage: "):
            usage = line[len("Usage: "):]
        elif line == "Examples:":
            finish()
            examples = []
        elif examples is not None and line.startswith("  "):
            examples.append(line.strip())
        elif line.endswith(":") and not line.startswith(" "):
            finish()
            groups.append((line[:-1], []))
        elif line.startswith("   ") and pending:
            pending[1].append(line.strip())
        elif line.startswith("  ") and groups:
            finish()
            heading, _, rest = line.strip().partition("  ")
            # A name that reaches into the sentence's column has a line of its own.
            pending = [heading, [rest.strip()] if rest.strip() else []]
        elif line.strip():
            finish()  # a sentence at the end
    finish()
    return Help(sentence, usage, groups, examples or [])


def of(command, topic=None):
    arguments = [command, "help", topic] if topic else [command, "--help"]
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return parse(done.stdout.decode())


def commands(command):
    """Their names, in the order of the help."""
    for heading, options in of(command).groups:
        if heading == "Subcommands":
            return [option.name for option in options]
    raise ValueError("`taskmem --help` lists no commands")


def choices(option):
    """The words that may stand for a value: of "a size above 0 such as 64M, or none" it is "none"."""
    text = re.sub(r"\(.*?\)", "", option.values or "")
    words = [word.strip() for word in re.split(r",|;| or ", text)]
    found = [re.sub(r"^or ", "", word) for word in words]
    plain = [word for word in found if re.fullmatch(r"[a-z][a-z0-9-]*", word)]
    prefixes = [re.match(r"[a-z-]+=", word)[0] for word in found if re.match(r"[a-z-]+=", word)]
    return plain + prefixes


def options_of(help_):
    return [option for heading, options in help_.groups if heading != "Positionals"
            for option in options]
