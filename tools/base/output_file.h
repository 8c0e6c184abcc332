// Output of the command: files that appear whole or not at all, and text that is long.
#ifndef TASKMEM_TOOLS_BASE_OUTPUT_FILE_H_
#define TASKMEM_TOOLS_BASE_OUTPUT_FILE_H_

#include <functional>
#include <string>
#include <string_view>

namespace taskmem {

// 0, or the errno that WriteOutputFile would meet now.
int CheckOutputFile(const std::string& path);

// 0, or the errno that others would meet who append to the file. A pipe that somebody reads stays
// open until this process ends: its reader would take the first end of a writer for the last.
int CheckAppendedFile(const std::string& path);

// Replaces the file atomically; writes into what is no regular file (a pipe, a
// device). 0 or an errno.
int WriteOutputFile(const std::string& path, const std::string& text);

// The same; what is not possible ends the command with a line. Nothing is checked for no path.
void CheckOutputFileOrFail(const std::string& path);
// The same, of what is made of `input`: it is not written over it.
void CheckOutputFileOrFail(const std::string& path, const std::string& input);
void WriteOutputFileOrFail(const std::string& path, const std::string& text);

// Takes a text piece by piece.
using TextSink = std::function<void(std::string_view)>;

// Gives what `write` writes to the file, or without a path to standard output, in about 64 KiB of
// memory. Fails like WriteOutputFileOrFail.
void WritePiecesOrFail(const std::string& path, const std::function<void(const TextSink&)>& write);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_OUTPUT_FILE_H_
