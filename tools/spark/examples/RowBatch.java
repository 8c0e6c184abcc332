package indexeddf;

import io.taskmem.Block;
import io.taskmem.Consumer;
import java.io.IOException;
import org.apache.spark.unsafe.Platform;

/**
 * Option 2: a batch as it was, which tells of itself where it is made to. One that does not is charged to
 * the attempt that makes it, and is what that has left behind once it has ended; cached for
 * longer, it belongs into a block.
 */
public final class RowBatch implements AutoCloseable {
  private final int batchSize;
  private final Consumer notifier;
  private long rowData;
  private RowFile file;
  private int size;
  private boolean isInUse;
  private int spills;

  public RowBatch(int batchSize, boolean notifies) {
    this.batchSize = batchSize;
    if (notifies) Consumer.makeRoom(batchSize);
    rowData = Platform.allocateMemory(batchSize);
    Platform.setMemory(rowData, (byte) 0, batchSize);
    notifier = notifies ? new Consumer("RowBatch") {
      @Override
      protected long spill(long bytesNeeded) throws IOException {
        return spillRows();
      }
    } : null;
    if (notifier != null) notifier.report(batchSize);
  }

  /** No lock is held while native memory is allocated: what is in use is left alone instead. */
  private synchronized void setInUse(boolean inUse) {
    isInUse = inUse;
  }

  private synchronized long spillRows() throws IOException {
    if (isInUse || rowData == 0) return 0;
    if (file == null) file = new RowFile(rowData, batchSize);
    Platform.freeMemory(rowData);
    rowData = 0;
    notifier.report(0);
    ++spills;
    return batchSize;
  }

  /** False: there is no room for it. By one thread at a time, as {@link #read}. */
  public boolean append(byte[] row) throws IOException {
    if (size + row.length > batchSize) return false;
    setInUse(true);
    try {
      load();
      if (file != null) file.delete();
      file = null;
      Platform.copyMemory(row, Platform.BYTE_ARRAY_OFFSET, null, rowData + size, row.length);
      size += row.length;
      return true;
    } finally {
      setInUse(false);
    }
  }

  public byte[] read(int offset, int length) throws IOException {
    if (offset < 0 || length < 0 || offset > size - length) {
      throw new IndexOutOfBoundsException("row");
    }
    setInUse(true);
    try {
      load();
      byte[] row = new byte[length];
      Platform.copyMemory(null, rowData + offset, row, Platform.BYTE_ARRAY_OFFSET, length);
      return row;
    } finally {
      setInUse(false);
    }
  }

  private void load() throws IOException {
    if (rowData != 0) return;
    if (file == null) throw new IllegalStateException("closed");
    Consumer.makeRoom(batchSize);
    rowData = file.readBack(batchSize);
    notifier.report(batchSize);
  }

  public int spills() {
    return spills;
  }

  /**
   * Becomes a cached block, storage memory of no task, which {@link Block#get} finds; false: there
   * is no room, and the batch is as it was.
   */
  public boolean cacheAs(String name) throws IOException {
    setInUse(true);
    try {
      load();
      if (Block.put(name, rowData, size, Block.MEMORY_AND_DISK) != 0) return false;
    } finally {
      setInUse(false);
    }
    close();
    return true;
  }

  @Override
  public void close() {
    if (notifier != null) notifier.close();
    if (rowData != 0) Platform.freeMemory(rowData);
    if (file != null) file.delete();
    rowData = 0;
    file = null;
  }
}
