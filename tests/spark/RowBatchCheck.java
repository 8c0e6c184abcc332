package indexeddf;

import io.taskmem.Native;
import java.io.File;
import java.io.IOException;
import java.util.Arrays;

/**
 * Batches whose file cannot be read for a while. The argument is the folder of temporary files. A line
 * for each option: MiB that the task holds once a read has failed, whether the next one finds the rows,
 * and MiB held once all is closed.
 */
public final class RowBatchCheck {
  private static final int MIB = 1 << 20;
  private static final int BATCH = 8 * MIB;
  private static final long TASK = 1;

  private RowBatchCheck() {}

  private interface Batch {
    boolean append(byte[] row) throws IOException;

    byte[] read(int offset, int length) throws IOException;

    void close();
  }

  private static Batch of(String option) {
    if (option.equals("option1")) {
      ManagedRowBatch batch = new ManagedRowBatch(BATCH);
      return new Batch() {
        public boolean append(byte[] row) throws IOException {
          return batch.append(row);
        }

        public byte[] read(int offset, int length) throws IOException {
          return batch.read(offset, length);
        }

        public void close() {
          batch.close();
        }
      };
    }
    RowBatch batch = new RowBatch(BATCH, true);
    return new Batch() {
      public boolean append(byte[] row) throws IOException {
        return batch.append(row);
      }

      public byte[] read(int offset, int length) throws IOException {
        return batch.read(offset, length);
      }

      public void close() {
        batch.close();
      }
    };
  }

  private static long heldBytes() {
    long[] figures = new long[Native.TASK_FIGURES];
    if (Native.taskInfo(TASK, figures) != 0) throw new IllegalStateException("no task");
    return figures[Native.CHARGED];
  }

  /** Beside what the JVM has taken for this thread. */
  private static long heldMib(long before) {
    return Math.round((double) (heldBytes() - before) / MIB);
  }

  private static File only(File folder) {
    File[] files = folder.listFiles((in, name) -> name.endsWith(".spill"));
    if (files.length != 1) throw new IllegalStateException(Arrays.toString(files));
    return files[0];
  }

  private static void move(File from, File to) {
    if (!from.renameTo(to)) throw new IllegalStateException(from + " cannot be moved");
  }

  private static String check(String option, File folder) throws IOException {
    byte[] rows = new byte[BATCH];
    for (int i = 0; i < rows.length; ++i) rows[i] = (byte) (i * 31 + i / 4099);
    of(option).close();
    long before = heldBytes();
    // Of one batch: the other leaves memory.
    Native.setQuota(TASK, before + 14L * MIB);
    Batch first = of(option);
    first.append(rows);
    Batch second = of(option);
    File file = only(folder);
    File away = new File(folder, "away");
    move(file, away);
    try {
      first.read(0, BATCH);
      return "read though there is no file";
    } catch (IOException e) {
      // As it must be.
    }
    long held = heldMib(before);
    move(away, file);
    boolean isRight = Arrays.equals(first.read(0, BATCH), rows);
    first.close();
    second.close();
    return held + " " + isRight + " " + heldMib(before);
  }

  public static void main(String[] arguments) throws IOException {
    Native.attach(TASK, "check", 0);
    for (String option : new String[] {"option1", "option2"}) {
      Native.setQuota(TASK, 1L << 30);
      System.out.println(option + " " + check(option, new File(arguments[0])));
    }
  }
}
