package io.taskmem;

/**
 * A cached block of native bytes (tools/manual/blocks.md): storage memory that outlives the task
 * which made it, leaves memory for disk, if there is a --spill-dir, where tasks need the room, and comes
 * back when it is read. This object is a pin: what it shows stays where it is until it is closed.
 */
public final class Block implements AutoCloseable {
  public static final int MEMORY_AND_DISK = 0;
  public static final int MEMORY_ONLY = 1;
  public static final int DISK_ONLY = 2;

  // As the library fills it in: address, bytes, and what it knows the pin by.
  private final long[] figures;

  private Block(long[] figures) {
    this.figures = figures;
  }

  /**
   * Copies the bytes into a block of that name, 1 to 127 ASCII characters. Returns 0, or an errno
   * value: 17 (EEXIST), 12 (ENOMEM: there is no room for it), 38 (ENOSYS: no library).
   */
  public static int put(String name, long address, long bytes, int level) {
    return Native.has("putBlock") ? -Native.putBlock(name, address, bytes, level) : 38;
  }

  /** null: there is no such block, or no memory to read it into. */
  public static Block get(String name) {
    long[] figures = new long[4];
    if (!Native.has("getBlock", "releaseBlock") || Native.getBlock(name, figures) != 0) return null;
    return new Block(figures);
  }

  /** 0, or an errno value: 2 (ENOENT), 16 (EBUSY: it is pinned). */
  public static int remove(String name) {
    return Native.has("removeBlock") ? -Native.removeBlock(name) : 38;
  }

  /** Of its first byte. Read it, and leave what is there as it is. */
  public long address() {
    return figures[0];
  }

  public long bytes() {
    return figures[1];
  }

  @Override
  public void close() {
    if (figures[0] == 0 && figures[1] == 0) return;
    Native.releaseBlock(figures);
    figures[0] = 0;
    figures[1] = 0;
  }
}
