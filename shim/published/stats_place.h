// Where the stats segment's file is: its directory, reached anew for each use (the process may have
// entered another root, or be another user's by then), and its name in there. I/O; no allocation.
#ifndef TASKMEM_SHIM_PUBLISHED_STATS_PLACE_H_
#define TASKMEM_SHIM_PUBLISHED_STATS_PLACE_H_

namespace taskmem {

// Files go to `dir`, or, where that is empty, to the user's own directory. Before any other call.
void ChooseStatsDir(const char* dir);

// For messages. Empty until the user's directory was found.
const char* StatsDirPath();

// A new file `name` there. Descriptors are the caller's, and -errno where that failed; `dir` is
// that of the directory. Where the file is of no use: RemoveStatsFile, with `dir`.
struct NewStatsFile {
  long dir;
  long fd;
};
NewStatsFile CreateStatsFile(const char* name);
void RemoveStatsFile(long dir, const char* name);

// That file holds the books from now on.
void NoteListed(const char* name);
// None does: they are private again, or left behind for others.
void NoteUnlisted();
// A file, whose name others may find, holds them.
bool IsListed();

// The file that holds the books: a descriptor for reading and writing, the caller's, or -errno.
long OpenStatsFile();
// Removes it.
void RemoveListedFile();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_STATS_PLACE_H_
