#include "shim/published/program_title.h"

#include <cstdio>
#include <cstring>

#include "accounting/base/base_name.h"

namespace taskmem {
namespace {

// How the command lines of a family of interpreters are read. Lists are of words with a space
// before and behind each.
struct Interpreter {
  const char* names;       // a program is one of them where its name is that, or that and a version
  const char* with_value;  // options that the next argument belongs to
  const char* with_program;        // whose value is what is run; joined by '=' as well
  const char* letters_with_value;  // the same for letters, which may follow others: "-bW error"
  char module_letter;              // 'm': "-m MODULE" is what is run
  const char* text_letters;        // what is run stands on the command line: no script
  bool keeps_text_option;          // options have whole names, not letters
};

constexpr Interpreter kInterpreters[] = {
    {" python pypy ", " --check-hash-based-pycs ", " ", "WX", 'm', "c", false},
    {" bash sh dash ksh zsh ", " --rcfile --init-file ", " ", "oO", '\0', "c", false},
    {" java ",
     " -cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules "
     "--add-exports --add-opens --add-reads --limit-modules --source --enable-native-access ",
     " -jar -m --module ", "", '\0', "", true},
    {" perl ruby ", " ", " ", "", '\0', "eE", false},
    {" node ", " -r --require --import --loader --experimental-loader ", " ", "", '\0', "ep",
     false},
    {" lua Rscript tclsh php ", " ", " ", "", '\0', "er", false},
};

bool Lists(const char* words, const char* word, size_t length) {
  for (const char* at = words; (at = strchr(at, ' ')) != nullptr && *++at != '\0';) {
    if (strncmp(at, word, length) == 0 && at[length] == ' ') return true;
  }
  return false;
}

// How much of a name is behind digits and points: "python" of "python3.11".
size_t LengthWithoutVersion(const char* name) {
  size_t length = strlen(name);
  while (length > 0 && strchr("0123456789.-", name[length - 1]) != nullptr) --length;
  return length;
}

const Interpreter* FindInterpreter(const char* name) {
  const size_t length = LengthWithoutVersion(name);
  for (const Interpreter& interpreter : kInterpreters) {
    if (length != 0 && Lists(interpreter.names, name, length)) return &interpreter;
  }
  return nullptr;
}

// What an argument says of the program that the interpreter runs.
enum class Says { kNothing, kSkipNext, kNextIsProgram, kIsText };

Says ReadLetters(const Interpreter& interpreter, const char* letters, const char** program) {
  for (const char* at = letters; *at != '\0'; ++at) {
    if (strchr(interpreter.text_letters, *at) != nullptr) return Says::kIsText;
    if (*at == interpreter.module_letter) {
      if (at[1] == '\0') return Says::kNextIsProgram;
      *program = at + 1;
      return Says::kNothing;
    }
    if (strchr(interpreter.letters_with_value, *at) != nullptr) {
      return at[1] == '\0' ? Says::kSkipNext : Says::kNothing;
    }
  }
  return Says::kNothing;
}

Says ReadOption(const Interpreter& interpreter, const char* option, const char** program) {
  const char* const equals = strchr(option, '=');
  const size_t length = equals != nullptr ? static_cast<size_t>(equals - option) : strlen(option);
  if (Lists(interpreter.with_program, option, length)) {
    if (equals == nullptr) return Says::kNextIsProgram;
    *program = equals + 1;
    return Says::kNothing;
  }
  if (Lists(interpreter.with_value, option, length)) {
    return equals == nullptr ? Says::kSkipNext : Says::kNothing;
  }
  if (option[0] == '-' && option[1] == '-') {
    const bool is_text = strncmp(option, "--eval", 6) == 0 || strncmp(option, "--print", 7) == 0;
    return is_text && !interpreter.keeps_text_option ? Says::kIsText : Says::kNothing;
  }
  if (interpreter.keeps_text_option) return Says::kNothing;
  return ReadLetters(interpreter, option + 1, program);
}

// The script, the module or the class; nullptr: there is none.
const char* FindScript(const Interpreter& interpreter, int argc, const char* const* argv) {
  const char* program = nullptr;
  for (int i = 1; i < argc && argv[i] != nullptr; ++i) {
    const char* const argument = argv[i];
    const bool is_option = (argument[0] == '-' && argument[1] != '\0') ||
                           (argument[0] == '+' && interpreter.letters_with_value[0] == 'o');
    if (!is_option) return argument[0] == '-' || argument[0] == '@' ? nullptr : argument;
    switch (ReadOption(interpreter, argument, &program)) {
      case Says::kIsText: return nullptr;
      case Says::kSkipNext: ++i; break;
      case Says::kNextIsProgram: return i + 1 < argc ? argv[i + 1] : nullptr;
      case Says::kNothing: break;
    }
    if (program != nullptr) return program;
  }
  return nullptr;
}

}  // namespace

void DescribeProgram(const char* path, int argc, const char* const* argv, char* title,
                     size_t bytes) {
  const char* name = BaseName(path);
  if (argc > 0 && argv[0] != nullptr) {
    const char* const called = BaseName(argv[0]);
    const size_t length = strlen(called);
    // A prefix but for the version: "python3" is python3.11, "python" is not pythonista.
    if (length != 0 && strncmp(name, called, length) == 0 && LengthWithoutVersion(name) <= length) {
      name = called;
    }
  }
  const Interpreter* interpreter = FindInterpreter(name);
  const char* script = interpreter != nullptr ? FindScript(*interpreter, argc, argv) : nullptr;
  if (script == nullptr || *script == '\0') {
    snprintf(title, bytes, "%s", name);
    return;
  }
  snprintf(title, bytes, "%s %s", name, BaseName(script));
}

}  // namespace taskmem
