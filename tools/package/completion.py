"""Completions of the command's words for bash and zsh, from its help."""

import help_text

_FILES = ("PATH", "FILE", "LIBRARY")


def bash(commands):
    """`commands`: {name: Help}."""
    cases, values = [], []
    for name, help_ in commands.items():
        options = help_text.options_of(help_)
        cases.append('    %s) options="%s" ;;' % (name, " ".join(o.name for o in options)))
        for option in options:
            if option.value in _FILES:
                values.append("    %s:%s) COMPREPLY=($(compgen -f -- \"$word\")); return ;;" %
                              (name, option.name))
            elif option.value is not None:
                words = help_text.choices(option) or [option.value] * (option.value == "module")
                values.append("    %s:%s) COMPREPLY=($(compgen -W \"%s\" -- \"$word\")); return ;;" %
                              (name, option.name, " ".join(words)))
    return """# bash completion of taskmem
_taskmem() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} options="" at
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "%s --help --version" -- "$word"))
    return
  fi
  # What follows the mark is the program's own.
  for ((at = 2; at < COMP_CWORD; ++at)); do
    if [[ ${COMP_WORDS[at]} == -- ]]; then
      if ((at + 1 == COMP_CWORD)); then
        COMPREPLY=($(compgen -c -- "$word"))
      else
        COMPREPLY=($(compgen -f -- "$word"))
      fi
      return
    fi
  done
  case $command:${COMP_WORDS[COMP_CWORD-1]} in
%s
  esac
  case $command in
%s
    help) options="%s" ;;
  esac
  COMPREPLY=($(compgen -W "$options" -- "$word"))
}
complete -F _taskmem taskmem
""" % (" ".join(list(commands) + ["help"]), "\n".join(values), "\n".join(cases), " ".join(commands))


def _quoted(text):
    """For the description in a specification of _arguments, inside single quotes."""
    return (text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
            .replace("'", "'\\''"))


# What follows the mark is the program's own.
_ZSH_PROGRAM = """\
      local mark=$words[(i)--]
      if ((mark < CURRENT)); then
        shift mark words
        ((CURRENT -= mark))
        _normal
        return
      fi
"""


def zsh(commands):
    cases = []
    for name, help_ in commands.items():
        specs = []
        for option in help_text.options_of(help_):
            spec = "%s[%s]" % (option.name, _quoted(option.sentence))
            if option.value in _FILES:
                spec += ":%s:_files" % option.value
            elif option.value is not None:
                words = help_text.choices(option) or [option.value] * (option.value == "module")
                spec += ":%s:(%s)" % (option.value, " ".join(words))
            specs.append("        '%s'" % spec)
        if name == "run":
            # A blank before an action: it is called as it stands.
            specs.append("        '(-):program: _command_names -e'")
            specs.append("        '*::arguments: _normal'")
        cases.append("    %s)\n%s      _arguments \\\n%s\n      ;;" %
                     (name, _ZSH_PROGRAM if name == "run" else "", " \\\n".join(specs)))
    names = " ".join("'%s:%s'" % (name, _quoted(help_.sentence)) for name, help_ in commands.items())
    return """#compdef taskmem
local -a subcommands
subcommands=(%s 'help:Prints the help of a command.')
if ((CURRENT == 2)); then
  _describe command subcommands
  return
fi
local command=$words[2]
shift words
((CURRENT -= 1))
case $command in
%s
    help)
      ((CURRENT == 2)) && _describe command subcommands
      ;;
esac
""" % (names, "\n".join(cases))
