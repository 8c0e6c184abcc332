#include "spill/disk/disk_store.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "spill/disk/block_file.h"
#include "spill/disk/checksum.h"
#include "spill/files/spill_names.h"

namespace taskmem {
namespace {

uint64_t HashOf(std::string_view id) { return Checksum::Of(id.data(), id.size()); }

bool ExceedsFileLimit(int64_t bytes) {
  rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && static_cast<rlim_t>(bytes) > limit.rlim_cur;
}

}  // namespace

// A block of the index; its id follows it.
struct DiskStore::Entry {
  uint32_t hash() const { return static_cast<uint32_t>(place.hash); }
  std::string_view id() const { return {reinterpret_cast<const char*>(this + 1), id_bytes}; }

  Place place;
  size_t id_bytes = 0;
  Entry* next_in_table = nullptr;
};

// Memory for compression, for one call.
class DiskStore::Scratch {
 public:
  Scratch(const MemorySource& source, const BlockCodec* codec) : source_(source) {
    if (codec == nullptr) return;
    memory_ = source.allocate(BlockFileCodec::ScratchBytes(*codec), source.context);
    if (memory_ == nullptr) return;
    codec_ = {codec, static_cast<char*>(memory_)};
  }
  ~Scratch() {
    if (memory_ != nullptr) source_.free(memory_, source_.context);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Without a codec where there is no memory.
  const BlockFileCodec& codec() const { return codec_; }

 private:
  const MemorySource& source_;
  void* memory_ = nullptr;
  BlockFileCodec codec_;
};

DiskStore::~DiskStore() {
  DestroyAll(UnlistAll());
  DestroyAll(not_removed_);
  index_.FreeBuckets(options_.source);
}

DiskError DiskStore::Put(std::string_view id, const void* bytes, int64_t size) {
  const ByteSpan span = {static_cast<const char*>(bytes), size};
  ByteSpans spans(&span, 1);
  return Put(id, size, spans);
}

DiskError DiskStore::Put(std::string_view id, int64_t size, BlockBytes& bytes) {
  const FileOpsGuard guard;
  if (id.empty() || id.size() > kMaxIdBytes) {
    return {DiskErrorCode::kInvalidArgument, 0, "the block's id is empty or too long"};
  }
  if (size < 0) return {DiskErrorCode::kInvalidArgument, 0, "the block has a negative size"};
  RetryRemovals();
  {
    const MutexLock lock(mutex_);
    stats_.bytes_being_written_now += static_cast<uint64_t>(size);
  }
  Entry* entry = NewEntry(id, HashOf(id), size);
  DiskError error;
  if (entry == nullptr) {
    error = {DiskErrorCode::kNoMemory, 0, "note the block"};
  } else {
    const Scratch scratch(options_.source, options_.codec);
    error = WriteFile(id, bytes, scratch, &entry->place);
  }
  if (!error) index_.Prepare(mutex_, options_.source);

  Entry* former = nullptr;
  {
    const MutexLock lock(mutex_);
    stats_.bytes_being_written_now -= static_cast<uint64_t>(size);
    if (error) {
      ++stats_.puts_failed;
    } else {
      former = Find(id, entry->place.hash);
      if (former != nullptr) Unlist(former);
      List(entry);
      ++stats_.blocks_written;
      stats_.bytes_written += static_cast<uint64_t>(size);
      stats_.disk_bytes_written += static_cast<uint64_t>(entry->place.file_bytes);
    }
  }
  if (error) former = entry;
  if (former == nullptr) return error;
  if (error && !former->place.is_left) {
    DestroyIn(options_.source, former);
  } else {
    Discard(former);
  }
  return error;
}

DiskError DiskStore::WriteFile(std::string_view id, BlockBytes& bytes, const Scratch& scratch,
                               Place* place) {
  const BlockFileCodec& codec = scratch.codec();
  place->is_compressed = codec.codec != nullptr;
  if (!place->is_compressed && ExceedsFileLimit(BlockFileBytes(id, place->size))) {
    return {DiskErrorCode::kTooLarge, 0, "write the block"};
  }
  int directory;
  int fd;
  if (const DiskError error = CreateFile(place, &directory, &fd)) return error;
  char new_name[kMaxSpillNameBytes];
  char name[kMaxSpillNameBytes];
  WriteBlockFileName(place->hash, place->number, /*is_new=*/true, new_name);
  WriteBlockFileName(place->hash, place->number, /*is_new=*/false, name);

  DiskError error = WriteBlockFile(ops_, fd, id, place->size, bytes, codec, &place->file_bytes);
  const auto check = [&](int answer, const char* detail) {
    if (!error && answer < 0) error = DiskErrorFrom(-answer, detail);
  };
  if (!error && options_.sync) check(ops_.Sync(fd), "write the block to the device");
  // Its space is free at once, whatever becomes of its name.
  if (error) ops_.Truncate(fd, 0);
  const int closed = ops_.Close(fd);
  if (closed != -EINTR) check(closed, "write the block");
  place->is_new = true;
  if (!error) {
    const int renamed = ops_.RenameAt(directory, new_name, name);
    check(renamed, "rename the file of the block");
    place->is_new = renamed < 0;
  }
  if (!error && options_.sync) check(ops_.Sync(directory), "write the directory to the device");
  if (error) place->is_left = !RemoveFile(directory, *place);
  ops_.Close(directory);
  return error;
}

DiskError DiskStore::CreateFile(Place* place, int* directory, int* fd) {
  DiskError error;
  // The directory may be removed between the two, or a file of another's have the name.
  for (int attempt = 0; attempt < 3; ++attempt) {
    error = dir_.OpenDirectory(directory, &place->generation);
    if (error) return error;
    {
      const MutexLock lock(mutex_);
      place->number = ++last_number_;
    }
    char name[kMaxSpillNameBytes];
    WriteBlockFileName(place->hash, place->number, /*is_new=*/true, name);
    *fd = ops_.OpenAt(*directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*fd >= 0) {
      // The umask may have taken more than it should.
      ops_.ChangeMode(*fd, 0600);
      return {};
    }
    error = DiskErrorFrom(-*fd, "make the file of the block");
    ops_.Close(*directory);
    if (*fd != -ENOENT && *fd != -EEXIST) break;
  }
  return error;
}

DiskError DiskStore::Get(std::string_view id, void* memory, int64_t size) {
  const FileOpsGuard guard;
  const uint64_t hash = HashOf(id);
  DiskError error;
  // A put of the same block removes the file that was found. More than a few are not in time.
  for (int attempt = 0; attempt < 100; ++attempt) {
    Place place;
    if (!Look(id, hash, &place)) return {DiskErrorCode::kNotFound, 0, ""};
    if (place.size != size) return {DiskErrorCode::kWrongSize, 0, ""};
    {
      const MutexLock lock(mutex_);
      stats_.bytes_being_read_now += static_cast<uint64_t>(size);
    }
    error = ReadFile(id, place, static_cast<char*>(memory));
    if (error && size > 0) memset(memory, 0, static_cast<size_t>(size));
    const MutexLock lock(mutex_);
    stats_.bytes_being_read_now -= static_cast<uint64_t>(size);
    if (!error) {
      ++stats_.blocks_read;
      stats_.bytes_read += static_cast<uint64_t>(size);
      return error;
    }
    const Entry* const entry = Find(id, hash);
    if (entry != nullptr && entry->place.number == place.number) {
      if (error.code == DiskErrorCode::kLost) ++stats_.blocks_lost;
      return error;
    }
  }
  return error;
}

DiskError DiskStore::ReadFile(std::string_view id, const Place& place, char* memory) {
  const Scratch scratch(options_.source, place.is_compressed ? options_.codec : nullptr);
  if (place.is_compressed && scratch.codec().codec == nullptr) {
    return {DiskErrorCode::kNoMemory, 0, "decompress the block"};
  }
  int directory;
  DiskError error = dir_.OpenExisting(place.generation, &directory);
  if (error) {
    if (error.code != DiskErrorCode::kVanished) return error;
    return {DiskErrorCode::kLost, error.os_error, "its directory is gone"};
  }
  char name[kMaxSpillNameBytes];
  WriteBlockFileName(place.hash, place.number, /*is_new=*/false, name);
  const int fd = ops_.OpenAt(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
  ops_.Close(directory);
  if (fd < 0) {
    error = DiskErrorFrom(-fd, "open the file of the block");
    if (error.code == DiskErrorCode::kTooManyFiles) return error;
    return {DiskErrorCode::kLost, -fd, "its file cannot be opened"};
  }
  error = ReadBlockFile(ops_, fd, id, memory, place.size, place.file_bytes, scratch.codec());
  ops_.Close(fd);
  return error;
}

bool DiskStore::RemoveFile(const Place& place) {
  int directory;
  if (const DiskError error = dir_.OpenExisting(place.generation, &directory)) {
    return error.code == DiskErrorCode::kVanished || error.code == DiskErrorCode::kClosed ||
           error.code == DiskErrorCode::kWrongProcess;
  }
  const bool is_removed = RemoveFile(directory, place);
  ops_.Close(directory);
  return is_removed;
}

bool DiskStore::RemoveFile(int directory, const Place& place) {
  char name[kMaxSpillNameBytes];
  WriteBlockFileName(place.hash, place.number, place.is_new, name);
  const int removed = ops_.UnlinkAt(directory, name, 0);
  // What somebody put in its place is not the store's.
  return removed == 0 || removed == -ENOENT || removed == -EISDIR;
}

void DiskStore::Discard(Entry* entry) {
  if (RemoveFile(entry->place)) {
    DestroyIn(options_.source, entry);
    return;
  }
  const MutexLock lock(mutex_);
  entry->next_in_table = not_removed_;
  not_removed_ = entry;
}

void DiskStore::DiscardAll(Entry* entries) {
  while (entries != nullptr) {
    Entry* const entry = entries;
    entries = entry->next_in_table;
    Discard(entry);
  }
}

void DiskStore::DestroyAll(Entry* entries) {
  while (entries != nullptr) {
    Entry* const entry = entries;
    entries = entry->next_in_table;
    DestroyIn(options_.source, entry);
  }
}

void DiskStore::RetryRemovals() {
  Entry* entries;
  {
    const MutexLock lock(mutex_);
    entries = not_removed_;
    not_removed_ = nullptr;
  }
  DiscardAll(entries);
}

bool DiskStore::Remove(std::string_view id) {
  const FileOpsGuard guard;
  RetryRemovals();
  const uint64_t hash = HashOf(id);
  Entry* entry;
  {
    const MutexLock lock(mutex_);
    entry = Find(id, hash);
    if (entry == nullptr) return false;
    Unlist(entry);
  }
  Discard(entry);
  return true;
}

void DiskStore::Clear() {
  const FileOpsGuard guard;
  RetryRemovals();
  DiscardAll(UnlistAll());
}

int64_t DiskStore::Size(std::string_view id) {
  Place place;
  return Look(id, HashOf(id), &place) ? place.size : -1;
}

int64_t DiskStore::DiskBytes(std::string_view id) {
  Place place;
  return Look(id, HashOf(id), &place) ? place.file_bytes : -1;
}

DiskStoreStats DiskStore::Stats() const {
  const MutexLock lock(mutex_);
  return stats_;
}

void DiskStore::ResetInChild() {
  mutex_.ResetAfterFork();
  DestroyAll(UnlistAll());
  DestroyAll(not_removed_);
  not_removed_ = nullptr;
  // Threads that were reading or writing are the parent's.
  stats_ = {};
}

DiskStore::Entry* DiskStore::NewEntry(std::string_view id, uint64_t hash, int64_t size) {
  const MemorySource& source = options_.source;
  void* const memory = source.allocate(sizeof(Entry) + id.size(), source.context);
  if (memory == nullptr) return nullptr;
  Entry* const entry = new (memory) Entry;
  entry->place.hash = hash;
  entry->place.size = size;
  entry->id_bytes = id.size();
  memcpy(static_cast<void*>(entry + 1), id.data(), id.size());
  return entry;
}

DiskStore::Entry* DiskStore::Find(std::string_view id, uint64_t hash) {
  return index_.Find(static_cast<uint32_t>(hash),
                     [&](const Entry& entry) { return entry.id() == id; });
}

bool DiskStore::Look(std::string_view id, uint64_t hash, Place* place) {
  const MutexLock lock(mutex_);
  const Entry* const entry = Find(id, hash);
  if (entry == nullptr) return false;
  *place = entry->place;
  return true;
}

void DiskStore::List(Entry* entry) {
  index_.Insert(entry);
  ++stats_.blocks_now;
  stats_.bytes_now += static_cast<uint64_t>(entry->place.size);
  stats_.disk_bytes_now += static_cast<uint64_t>(entry->place.file_bytes);
}

void DiskStore::Unlist(Entry* entry) {
  index_.Erase(entry);
  --stats_.blocks_now;
  stats_.bytes_now -= static_cast<uint64_t>(entry->place.size);
  stats_.disk_bytes_now -= static_cast<uint64_t>(entry->place.file_bytes);
}

DiskStore::Entry* DiskStore::UnlistAll() {
  const MutexLock lock(mutex_);
  Entry* all = nullptr;
  index_.ForEach([&](Entry& entry) {
    Unlist(&entry);
    entry.next_in_table = all;
    all = &entry;
  });
  return all;
}

}  // namespace taskmem
