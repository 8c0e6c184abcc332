import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.AccumulableInfo;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import sun.misc.Unsafe;

/**
 * Jobs whose attempts hold a known amount of native memory: partition p (p + 1) * 10 MiB, and each of
 * the 1,000 of "many" 2 MiB. To the
 * file that is the first argument goes a line for each attempt that has ended,
 *
 * <pre>attempt KIND ID PARTITION NUMBER ok|failed PEAK HELD</pre>
 *
 * and of the job that is refused something what the driver shows, each line after "refused ". The
 * other arguments are kinds.
 */
public final class SparkJobs {
  private static final int MIB = 1 << 20;

  private static Unsafe unsafe() {
    try {
      Field field = Unsafe.class.getDeclaredField("theUnsafe");
      field.setAccessible(true);
      return (Unsafe) field.get(null);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void holdBlocks(long bytes, int blockBytes) {
    Unsafe unsafe = unsafe();
    long[] blocks = new long[(int) (bytes / blockBytes)];
    for (int i = 0; i < blocks.length; ++i) {
      blocks[i] = unsafe.allocateMemory(blockBytes);
      unsafe.setMemory(blocks[i], blockBytes, (byte) 1);
    }
    for (long block : blocks) unsafe.freeMemory(block);
  }

  private static void holdBuffers(long bytes) {
    Unsafe unsafe = unsafe();
    List<ByteBuffer> buffers = new ArrayList<>();
    for (long i = 0; i < bytes / MIB; ++i) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(MIB);
      while (buffer.hasRemaining()) buffer.putLong(7);
      buffers.add(buffer);
    }
    for (ByteBuffer buffer : buffers) unsafe.invokeCleaner(buffer);
  }

  private static void hold(String kind, int partition) {
    long bytes = (partition + 1) * 10L * MIB;
    switch (kind) {
      // The first attempts of an executor load its classes, which the JVM allocates for.
      case "warm":
      case "unsafe": holdBlocks(bytes, MIB); break;
      case "many": holdBlocks(2L * MIB, MIB); break;
      case "small": holdBlocks(bytes, 1024); break;
      case "direct": holdBuffers(bytes); break;
      case "leak": unsafe().setMemory(unsafe().allocateMemory(bytes), bytes, (byte) 1); break;
      case "retry":
        holdBlocks(bytes, MIB);
        if (partition == 1 && TaskContext.get().attemptNumber() == 0) {
          throw new IllegalStateException("the first attempt fails");
        }
        break;
      case "refused": {
        Unsafe unsafe = unsafe();
        long held = unsafe.allocateMemory(40L * MIB);
        try {
          holdBlocks(200L * MIB, 200 * MIB);
        } finally {
          unsafe.freeMemory(held);
        }
        break;
      }
      default: throw new IllegalArgumentException(kind);
    }
  }

  private static final class Listener extends SparkListener {
    private final PrintStream out;
    volatile String kind = "";

    Listener(PrintStream out) {
      this.out = out;
    }

    @Override
    public void onTaskEnd(SparkListenerTaskEnd end) {
      String peak = "-";
      String held = "-";
      Iterator<AccumulableInfo> all =
          scala.collection.JavaConverters.asJavaIterator(end.taskInfo().accumulables().iterator());
      while (all.hasNext()) {
        AccumulableInfo one = all.next();
        if (one.name().isEmpty() || one.update().isEmpty()) continue;
        if (one.name().get().equals("native memory peak")) peak = one.update().get().toString();
        if (one.name().get().equals("native memory held at end")) {
          held = one.update().get().toString();
        }
      }
      out.println("attempt " + kind + " " + end.taskInfo().taskId() + " "
          + end.taskInfo().index() + " " + end.taskInfo().attemptNumber() + " "
          + (end.taskInfo().successful() ? "ok" : "failed") + " " + peak + " " + held);
    }
  }

  public static void main(String[] arguments) throws Exception {
    PrintStream out = new PrintStream(arguments[0], "UTF-8");
    try (JavaSparkContext context = new JavaSparkContext(new SparkConf())) {
      Listener listener = new Listener(out);
      context.sc().addSparkListener(listener);
      for (String kind : Arrays.copyOfRange(arguments, 1, arguments.length)) {
        listener.kind = kind;
        try {
          int attempts = kind.equals("many") ? 1000 : 4;
          context.parallelize(Collections.nCopies(attempts, 0), kind.equals("refused") ? 1 : attempts)
              .foreach(partition -> hold(kind, TaskContext.getPartitionId()));
        } catch (Exception e) {
          for (String line : e.getMessage().split("\n")) out.println("refused " + line);
        }
        SparkContext spark = context.sc();
        // What a listener is told of comes later.
        org.apache.spark.ListenerQueue.await(spark);
      }
    }
    out.close();
  }
}
