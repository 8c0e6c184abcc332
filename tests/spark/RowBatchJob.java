import indexeddf.ManagedRowBatch;
import indexeddf.RowBatch;
import io.taskmem.Block;
import io.taskmem.Native;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.spark.SparkConf;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Batches of rows beside a quota, and cached beyond their attempt, in one executor of one slot. The
 * argument is a file; to it goes a line for each case:
 *
 * <pre>
 * option1|option2 ROWS-READ-RIGHT SPILLS PEAK
 * cached CHARGED            of the attempt that made batches, before it ends; MiB from here on
 * after RETAINED STORAGE    once it has
 * registered RETAINED STORAGE ROWS-READ-RIGHT
 * </pre>
 */
public final class RowBatchJob {
  private static final int MIB = 1 << 20;
  private static final int BATCH = 8 * MIB;
  private static final int BATCHES = 12;
  private static final int ROW = 1024;
  private static final long STORAGE = -2;

  // Of the executor: what it caches.
  private static final List<RowBatch> CACHE = new ArrayList<>();
  private static long maker;

  private static byte[] row(int batch, int number) {
    byte[] bytes = new byte[ROW];
    ByteBuffer.wrap(bytes).putInt(batch).putInt(number).putLong(batch * 31L + number);
    return bytes;
  }

  private interface Reader {
    byte[] read(int offset, int length) throws IOException;
  }

  private static int rightRows(int batch, Reader reader) throws IOException {
    int right = 0;
    for (int i = 0; i < BATCH / ROW; ++i) {
      if (Arrays.equals(reader.read(i * ROW, ROW), row(batch, i))) ++right;
    }
    return right;
  }

  private static long figure(long task, int figure) {
    long[] figures = new long[Native.TASK_FIGURES];
    return Native.taskInfo(task, figures) == 0 ? figures[figure] : -1;
  }

  private static String option1() throws IOException {
    List<ManagedRowBatch> batches = new ArrayList<>();
    int right = 0;
    int spills = 0;
    for (int b = 0; b < BATCHES; ++b) {
      ManagedRowBatch batch = new ManagedRowBatch(BATCH);
      for (int i = 0; batch.append(row(b, i)); ++i) {}
      batches.add(batch);
    }
    for (int b = 0; b < BATCHES; ++b) right += rightRows(b, batches.get(b)::read);
    for (ManagedRowBatch batch : batches) {
      spills += batch.spills();
      batch.close();
    }
    return right + " " + spills + " " + peak();
  }

  private static String option2() throws IOException {
    List<RowBatch> batches = new ArrayList<>();
    int right = 0;
    int spills = 0;
    for (int b = 0; b < BATCHES; ++b) {
      RowBatch batch = new RowBatch(BATCH, true);
      for (int i = 0; batch.append(row(b, i)); ++i) {}
      batches.add(batch);
    }
    for (int b = 0; b < BATCHES; ++b) right += rightRows(b, batches.get(b)::read);
    for (RowBatch batch : batches) {
      spills += batch.spills();
      batch.close();
    }
    return right + " " + spills + " " + peak();
  }

  private static long peak() {
    return figure(TaskContext.get().taskAttemptId(), Native.PEAK) / MIB;
  }

  private static String cached() throws IOException {
    for (int b = 0; b < 3; ++b) {
      RowBatch batch = new RowBatch(BATCH, false);
      for (int i = 0; batch.append(row(b, i)); ++i) {}
      CACHE.add(batch);
    }
    maker = TaskContext.get().taskAttemptId();
    return "" + figure(maker, Native.CHARGED) / MIB;
  }

  private static String retainedAndStorage() {
    return figure(maker, Native.CHARGED) / MIB + " " + figure(STORAGE, Native.CHARGED) / MIB;
  }

  private static String registered() throws IOException {
    int right = 0;
    for (int b = 0; b < CACHE.size(); ++b) {
      String name = "rowbatch_" + b;
      if (!CACHE.get(b).cacheAs(name)) throw new IllegalStateException("no room for " + name);
      try (Block block = Block.get(name)) {
        long address = block.address();
        right += rightRows(b, (offset, length) -> {
          byte[] bytes = new byte[length];
          org.apache.spark.unsafe.Platform.copyMemory(null, address + offset, bytes,
              org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET, length);
          return bytes;
        });
      }
    }
    return retainedAndStorage() + " " + right;
  }

  private static String of(String kind) throws IOException {
    switch (kind) {
      case "option1": return option1();
      case "option2": return option2();
      case "cached": return cached();
      case "after": return retainedAndStorage();
      case "registered": return registered();
      default: throw new IllegalArgumentException(kind);
    }
  }

  public static void main(String[] arguments) throws Exception {
    try (JavaSparkContext context = new JavaSparkContext(new SparkConf());
        PrintStream out = new PrintStream(arguments[0], "UTF-8")) {
      for (String kind : Arrays.asList("option1", "option2", "cached", "after", "registered")) {
        out.println(kind + " " + context.parallelize(Collections.singletonList(kind), 1)
            .map(RowBatchJob::of).collect().get(0));
      }
    }
  }
}
