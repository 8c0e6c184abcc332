package indexeddf;

import io.taskmem.Consumer;
import java.io.IOException;
import java.util.concurrent.locks.ReentrantLock;
import org.apache.spark.unsafe.Platform;

/**
 * Option 1: a batch of rows that is itself a consumer. It goes to a file where its attempt needs the
 * room, and comes back when it is read.
 */
public final class ManagedRowBatch extends Consumer {
  // Held while native memory is allocated: so a spill only tries it.
  private final ReentrantLock lock = new ReentrantLock();
  private final int capacity;
  private long rowData;
  private int size;
  private RowFile file;
  private int spills;

  public ManagedRowBatch(int capacity) {
    super("RowBatch");
    this.capacity = capacity;
    makeRoom(capacity);
    rowData = Platform.allocateMemory(capacity);
    Platform.setMemory(rowData, (byte) 0, capacity);
    report(capacity);
  }

  /** False: there is no room for it. */
  public boolean append(byte[] row) throws IOException {
    lock.lock();
    try {
      if (size + row.length > capacity) return false;
      load();
      // What the file has is of before.
      if (file != null) file.delete();
      file = null;
      Platform.copyMemory(row, Platform.BYTE_ARRAY_OFFSET, null, rowData + size, row.length);
      size += row.length;
      return true;
    } finally {
      lock.unlock();
    }
  }

  public byte[] read(int offset, int length) throws IOException {
    lock.lock();
    try {
      if (offset < 0 || length < 0 || offset > size - length) {
        throw new IndexOutOfBoundsException("row");
      }
      load();
      byte[] row = new byte[length];
      Platform.copyMemory(null, rowData + offset, row, Platform.BYTE_ARRAY_OFFSET, length);
      return row;
    } finally {
      lock.unlock();
    }
  }

  private void load() throws IOException {
    if (rowData != 0) return;
    if (file == null) throw new IllegalStateException("closed");
    makeRoom(capacity);
    rowData = file.readBack(capacity);
    report(capacity);
  }

  @Override
  protected long spill(long bytesNeeded) throws IOException {
    // The thread that needs the memory may be at this very batch.
    if (!lock.tryLock()) return 0;
    try {
      if (rowData == 0) return 0;
      if (file == null) file = new RowFile(rowData, capacity);
      Platform.freeMemory(rowData);
      rowData = 0;
      report(0);
      ++spills;
      return capacity;
    } finally {
      lock.unlock();
    }
  }

  public int spills() {
    return spills;
  }

  @Override
  public void close() {
    // Before the lock: a spill that is in flight ends.
    super.close();
    lock.lock();
    try {
      if (rowData != 0) Platform.freeMemory(rowData);
      if (file != null) file.delete();
      rowData = 0;
      file = null;
    } finally {
      lock.unlock();
    }
  }
}
