// Compression of blocks on disk.
#ifndef TASKMEM_SPILL_DISK_BLOCK_CODEC_H_
#define TASKMEM_SPILL_DISK_BLOCK_CODEC_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

// Thread-safe, and allocates nothing: its memory is the caller's.
class BlockCodec {
 public:
  // At most this much is compressed at once, so that a block of any size needs little memory.
  static constexpr size_t kFrameBytes = size_t{256} << 10;

  // Is written to the file: never changes. 0 is none.
  virtual uint32_t number() const { return 0; }
  virtual const char* name() const { return "none"; }
  // What Compress needs as `scratch`, aligned to 16 bytes.
  virtual size_t ScratchBytes() const { return 0; }

  // Returns how many of `room` bytes at `to` were written; 0: they do not suffice. `count`
  // is at most kFrameBytes.
  virtual size_t Compress(const char* /*from*/, size_t /*count*/, char* /*to*/, size_t /*room*/,
                          void* /*scratch*/) const {
    return 0;
  }
  // Exactly `count` bytes to `to`. False: `from` is no such thing. Never reads or writes
  // beyond either.
  virtual bool Decompress(const char* /*from*/, size_t /*from_bytes*/, char* /*to*/,
                          size_t /*count*/) const {
    return false;
  }

 protected:
  ~BlockCodec() = default;
};

// LZ4 of the system's liblz4.so.1, which is loaded at the first call; call it once, at
// start-up. nullptr: there is none, and `why` (at most `size` bytes with its NUL) says
// what is wrong with it.
const BlockCodec* OpenLz4(char* why, size_t size);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_DISK_BLOCK_CODEC_H_
