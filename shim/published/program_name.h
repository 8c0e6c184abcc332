// The program of this process, as its books name it.
#ifndef TASKMEM_SHIM_PUBLISHED_PROGRAM_NAME_H_
#define TASKMEM_SHIM_PUBLISHED_PROGRAM_NAME_H_

namespace taskmem {

// What was executed, cut; read once.
const char* StatsProgram();
// What people call it, from its command line; before StatsPublish.
void StatsNoteTitle(int argc, const char* const* argv);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_PROGRAM_NAME_H_
