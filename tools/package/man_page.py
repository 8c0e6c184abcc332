"""Man pages: of commands, from their help, and of the manual's pages, from their Markdown."""

import re

_SEE = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def escaped(text):
    return text.replace("\\", "\\e").replace("-", "\\-")


def line(text):
    """A line of text that roff does not take for a request."""
    return "\\&" + text if text[:1] in (".", "'") else text


def inline(text):
    """Of code, emphasis and links: their looks, and where a link leads if that is a web page."""
    text = _SEE.sub(lambda m: m[1] + (" (%s)" % m[2] if m[2].startswith("http") else ""), text)
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s][^*]*\*)", text)
    out = []
    for part in parts:
        if part.startswith("`") and len(part) > 1:
            out.append("\\fB" + escaped(part[1:-1]) + "\\fR")
        elif part.startswith("**") and len(part) > 4:
            out.append("\\fB" + escaped(part[2:-2]) + "\\fR")
        elif part.startswith("*") and len(part) > 2:
            out.append("\\fI" + escaped(part[1:-1]) + "\\fR")
        else:
            out.append(escaped(part))
    return line("".join(out))


def head(name, section, version, sentence):
    return [
        '.TH %s %d "" "taskmem %s" "taskmem"' % (name.upper(), section, version), ".nh",
        ".ad l", ".SH NAME", "%s \\- %s" % (escaped(name), escaped(sentence.rstrip("."))),
    ]


def _table(rows):
    """An entry for each row, as a terminal is too narrow for the columns of some."""
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]
             for row in rows]
    header = cells[0]
    out = []
    for row in cells[2:]:
        if len(row) == 2:
            text = row[1] if header[0] else "%s %s" % (row[1], header[1])
        else:
            text = "; ".join("%s: %s" % pair for pair in zip(header[1:], row[1:]) if pair[1])
        out += [".TP", inline("**%s**" % row[0] if "`" not in row[0] else row[0]), inline(text)]
    return out


def from_markdown(name, version, text):
    """The title of the page is its sentence."""
    lines = text.split("\n")
    assert lines[0].startswith("# "), name
    out = head(name, 7, version, lines[0][2:])
    out.append(".SH DESCRIPTION")
    at, paragraph = 1, []

    def flush():
        if paragraph:
            out.extend([".PP", inline(" ".join(paragraph))])
            paragraph.clear()

    while at < len(lines):
        text = lines[at]
        if text.startswith("```"):
            flush()
            out.extend([".PP", ".RS 4", ".EX"])
            at += 1
            while not lines[at].startswith("```"):
                out.append(line(escaped(lines[at])))
                at += 1
            out.extend([".EE", ".RE"])
        elif text.startswith("|"):
            flush()
            end = at
            while end < len(lines) and lines[end].startswith("|"):
                end += 1
            out.extend(_table(lines[at:end]))
            at = end - 1
        elif text.startswith("### "):
            flush()
            out.append(".SS " + inline(text[4:]))
        elif text.startswith("## "):
            flush()
            out.append(".SH " + inline(text[3:]).upper())
        elif re.match(r"(-|\d+\.) ", text):
            flush()
            mark, _, rest = text.partition(" ")
            item = [rest]
            while at + 1 < len(lines) and lines[at + 1].startswith("  "):
                at += 1
                item.append(lines[at].strip())
            out.append(".IP %s" % ("\\(bu 2" if mark == "-" else mark + " 4"))
            out.append(inline(" ".join(item)))
        elif not text.strip():
            flush()
        else:
            paragraph.append(text.strip())
        at += 1
    flush()
    return "\n".join(out) + "\n"


def of_command(name, version, help_, more):
    """`name`: "taskmem run". `more`: lines of roff that end the page."""
    out = head(name.replace(" ", "-"), 1, version, help_.sentence)
    out += [".SH SYNOPSIS", ".nf", "\\fB%s\\fR" % escaped(help_.usage), ".fi"]
    for heading, options in help_.groups:
        title = {"Positionals": "ARGUMENTS", "Subcommands": "COMMANDS"}.get(heading)
        out.append(".SH " + (title or heading.upper()))
        for option in options:
            out += [".TP", "\\fB%s\\fR%s" % (escaped(option.name),
                                             " \\fI%s\\fR" % option.value if option.value else "")]
            out.append(inline(option.sentence))
            if option.values:
                out.append("Values: %s." % escaped(option.values))
            if option.default:
                out.append("Default: %s." % escaped(option.default))
            if option.variable:
                out += [".br", "Variable: \\fB%s\\fR." % escaped(option.variable)]
    if help_.examples:
        out += [".SH EXAMPLES", ".EX"] + [line(escaped(one)) for one in help_.examples] + [".EE"]
    return "\n".join(out + more) + "\n"
