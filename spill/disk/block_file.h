// What is in the file of a block.
//
//     data     as it is; or, with a codec, in frames of BlockCodec::kFrameBytes each (the last
//              is shorter), each with its stored length before it
//     id
//     footer   magic, version, codec, length of the id, length of the data, checksum of all that
//
// The data comes first because what is not aligned to a page is copied at a third of the speed;
// a file that was not written to its end has no footer.
// In the byte order of the machine: no other process ever reads it.
#ifndef TASKMEM_SPILL_DISK_BLOCK_FILE_H_
#define TASKMEM_SPILL_DISK_BLOCK_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "spill/disk/block_codec.h"
#include "spill/files/disk_error.h"
#include "spill/files/file_ops.h"
#include "spill/names/block_bytes.h"

namespace taskmem {

// How a block is compressed; the default: not at all.
struct BlockFileCodec {
  const BlockCodec* codec = nullptr;
  char* scratch = nullptr;  // ScratchBytes(*codec) of them, aligned to 16

  static size_t ScratchBytes(const BlockCodec& codec);
};

// Length of the file of a block that is not compressed.
int64_t BlockFileBytes(std::string_view id, int64_t size);

// Writes the file of the block `id` of `size` bytes to `fd`, from where it stands. The data is
// written from where it lies. `file_bytes` is the file's length. kInvalidArgument: `bytes`
// has not `size` of them.
DiskError WriteBlockFile(FileOps& ops, int fd, std::string_view id, int64_t size, BlockBytes& bytes,
                         const BlockFileCodec& codec, int64_t* file_bytes);

// Reads such a file, which has `file_bytes`, into `memory` of `size` bytes. kLost: it is not
// exactly what was written; `memory` has anything then.
DiskError ReadBlockFile(FileOps& ops, int fd, std::string_view id, char* memory, int64_t size,
                        int64_t file_bytes, const BlockFileCodec& codec);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_DISK_BLOCK_FILE_H_
