import io.taskmem.Consumer;
import io.taskmem.Native;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.TaskContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import sun.misc.Unsafe;

/**
 * Two attempts of one executor that sort, each beside native memory of its own: more in sum than the
 * off-heap pool has. Arguments: the file for the answer, the native MiB of each attempt, the rows, and whether the native
 * memory comes "before" the sort or "after" it, while its rows are read.
 * The answer is one line: "right" or "wrong", the MiB by which the executor grew at most, and those
 * that were spilled to disk; then of each attempt the bytes of its native peak, and of its peak as
 * Spark has it.
 */
public final class SortJob {
  private static final long MIB = 1 << 20;

  // Of the executor: what is not its heap, which is touched at its start.
  private static volatile long base = 0;
  private static volatile long peak = 0;

  private static long residentBytes() {
    try {
      byte[] all = Files.readAllBytes(Paths.get("/proc/self/statm"));
      String[] pages = new String(all, StandardCharsets.US_ASCII).split(" ");
      return (Long.parseLong(pages[1]) - Long.parseLong(pages[2])) * 4096;
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static synchronized void watch() {
    if (base != 0) return;
    base = residentBytes();
    Thread thread = new Thread(() -> {
      for (;;) {
        peak = Math.max(peak, residentBytes());
        try {
          Thread.sleep(2);
        } catch (InterruptedException e) {
          return;
        }
      }
    });
    thread.setDaemon(true);
    thread.start();
  }

  private static long[] sort(Iterator<Row> rows, long nativeBytes, boolean isMeasured,
      String when) throws ReflectiveOperationException {
    Field field = Unsafe.class.getDeclaredField("theUnsafe");
    field.setAccessible(true);
    Unsafe unsafe = (Unsafe) field.get(null);
    if (isMeasured) watch();
    // The sort begins, and is over, with the first row that is asked for.
    boolean isLate = when.equals("after");
    if (isLate && rows.hasNext()) Consumer.makeRoom(nativeBytes);
    long block = 0;
    if (nativeBytes != 0) {
      block = unsafe.allocateMemory(nativeBytes);
      unsafe.setMemory(block, nativeBytes, (byte) 1);
    }
    long count = 0;
    long sum = 0;
    long disorder = 0;
    int last = Integer.MIN_VALUE;
    while (rows.hasNext()) {
      Row row = rows.next();
      if (row.getInt(0) < last) ++disorder;
      last = row.getInt(0);
      ++count;
      sum += row.getLong(1) * (row.getString(2).length() - 100);
    }
    if (block != 0) unsafe.freeMemory(block);
    long spilled = TaskContext.get().taskMetrics().diskBytesSpilled();
    long[] figures = new long[Native.TASK_FIGURES];
    // Without the library there are none.
    if (Native.isPresent()) Native.taskInfo(Native.currentTask(), figures);
    long ofSpark = TaskContext.get().taskMetrics().peakExecutionMemory();
    return new long[] {
        count, sum, disorder, peak - base, spilled, figures[Native.PEAK], ofSpark};
  }

  private static List<long[]> run(SparkSession spark, long rows, long nativeBytes, boolean measured,
      String when) {
    Dataset<Row> sorted = spark.range(0, rows, 1, 2)
        .selectExpr("hash(id) as key", "id", "concat(repeat('x', 100), '1') as text")
        .sortWithinPartitions("key");
    return sorted.javaRDD().mapPartitions(each -> Collections.singletonList(
        sort(each, nativeBytes, measured, when)).iterator()).collect();
  }

  public static void main(String[] arguments) throws Exception {
    long nativeBytes = Long.parseLong(arguments[1]) * MIB;
    long rows = Long.parseLong(arguments[2]);
    try (SparkSession spark = SparkSession.builder().getOrCreate();
        PrintStream out = new PrintStream(arguments[0], "UTF-8")) {
      run(spark, rows / 4, 0, false, "before");
      long[] all = new long[5];
      StringBuilder peaks = new StringBuilder();
      for (long[] one : run(spark, rows, nativeBytes, true, arguments[3])) {
        for (int i : Arrays.asList(0, 1, 2, 4)) all[i] += one[i];
        peaks.append(" ").append(one[5]).append(" ").append(one[6]);
        all[3] = Math.max(all[3], one[3]);
      }
      boolean isRight = all[0] == rows && all[1] == rows * (rows - 1) / 2 && all[2] == 0;
      out.println((isRight ? "right " : "wrong ") + all[3] / MIB + " " + all[4] / MIB + peaks);
    }
  }
}
