package indexeddf;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import org.apache.spark.unsafe.Platform;

/** The bytes of a batch while they are not in memory. */
final class RowFile {
  private static final int CHUNK = 1 << 16;

  private final File file;

  /** Writes them. */
  RowFile(long address, int bytes) throws IOException {
    file = File.createTempFile("rows", ".spill");
    file.deleteOnExit();
    byte[] chunk = new byte[CHUNK];
    try (RandomAccessFile out = new RandomAccessFile(file, "rw")) {
      for (int at = 0; at < bytes; at += CHUNK) {
        int count = Math.min(CHUNK, bytes - at);
        Platform.copyMemory(null, address + at, chunk, Platform.BYTE_ARRAY_OFFSET, count);
        out.write(chunk, 0, count);
      }
    } catch (IOException e) {
      delete();
      throw e;
    }
  }

  /**
   * Reads them into memory that is the caller's to free. The file stays; so it does where it cannot be
   * read, and then no memory is held for it.
   */
  long readBack(int bytes) throws IOException {
    long address = Platform.allocateMemory(bytes);
    try {
      read(address, bytes);
      return address;
    } catch (Throwable e) {
      Platform.freeMemory(address);
      throw e;
    }
  }

  private void read(long address, int bytes) throws IOException {
    byte[] chunk = new byte[CHUNK];
    try (RandomAccessFile in = new RandomAccessFile(file, "r")) {
      for (int at = 0; at < bytes; at += CHUNK) {
        int count = Math.min(CHUNK, bytes - at);
        in.readFully(chunk, 0, count);
        Platform.copyMemory(chunk, Platform.BYTE_ARRAY_OFFSET, null, address + at, count);
      }
    }
  }

  void delete() {
    if (!file.delete()) file.deleteOnExit();
  }
}
