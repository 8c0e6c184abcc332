import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.net.URL;
import java.nio.ByteBuffer;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.AccumulableInfo;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.scheduler.TaskInfo;
import sun.misc.Unsafe;

/**
 * Jobs whose attempts hold a known amount of native memory: partition p (p + 1) * 10 MiB, or 3 * (p + 1)
 * contexts of zstd, and each of the 1,000 of "many" 2 MiB. To the file that is the first argument goes a
 * line for each attempt that has ended,
 *
 * <pre>attempt KIND ID PARTITION NUMBER ok|failed PEAK HELD</pre>
 *
 * and of the job that is refused something what the driver shows, each line after "refused "; "ui" is
 * no job, but the plugin's page of the driver's UI, each line after "ui ". The other arguments are
 * kinds.
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

  /** The executor is killed, as by the kernel where there is no memory, by its first attempt. */
  private static void killOnce(long bytes) throws IOException, InterruptedException {
    if (TaskContext.get().attemptNumber() == 0) {
      long block = unsafe().allocateMemory(bytes);
      unsafe().setMemory(block, bytes, (byte) 1);
      String self = Paths.get("/proc/self").toRealPath().getFileName().toString();
      new ProcessBuilder("kill", "-9", self).start();
      Thread.sleep(Long.MAX_VALUE);
    }
    holdBlocks(bytes, MIB);
  }

  /** The first attempt goes on until another one has done its work. */
  private static void waitForAnother() throws InterruptedException {
    TaskContext context = TaskContext.get();
    while (context.attemptNumber() == 0 && !context.isInterrupted()) Thread.sleep(20);
    context.killTaskIfInterrupted();
  }

  private static void hold(String kind, int partition) throws IOException, InterruptedException {
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
      case "lz4":
      case "snappy": Codecs.holdBuffers(kind, bytes, unsafe()); break;
      case "zstd": Codecs.holdZstd(3 * (partition + 1), 3); break;
      case "killed":
        if (partition == 1) {
          killOnce(bytes);
        } else {
          holdBlocks(bytes, MIB);
        }
        break;
      case "speculated":
        holdBlocks(bytes, MIB);
        if (partition == 3) waitForAnother();
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
    // Of attempts; guarded by this.
    private long started;
    private long ended;

    Listener(PrintStream out) {
      this.out = out;
    }

    @Override
    public synchronized void onTaskStart(SparkListenerTaskStart start) {
      ++started;
    }

    /** One that was killed may end after its job. */
    synchronized void awaitAttempts() throws InterruptedException {
      while (ended < started) wait();
    }

    /** What it returns is a Seq of one kind or another, by the version of Scala. */
    @SuppressWarnings("unchecked")
    private static scala.collection.Iterable<AccumulableInfo> accumulables(TaskInfo info) {
      try {
        return (scala.collection.Iterable<AccumulableInfo>)
            TaskInfo.class.getMethod("accumulables").invoke(info);
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException(e);
      }
    }

    @Override
    public synchronized void onTaskEnd(SparkListenerTaskEnd end) {
      String peak = "-";
      String held = "-";
      scala.collection.Iterator<AccumulableInfo> all = accumulables(end.taskInfo()).iterator();
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
      ++ended;
      notifyAll();
    }
  }

  // Both executors, and an attempt of some 40 MiB.
  private static final Pattern REPORTED = Pattern.compile(
      "<td>0</td><td sort.*<td>1</td><td sort.* attempt \\d\\)</td><td>[01]</td><td [^>]*>4\\d\\.");

  /** Once all have reported. */
  private static void showPage(String address, PrintStream out)
      throws IOException, InterruptedException {
    String page = "";
    for (int i = 0; i < 600 && !REPORTED.matcher(page).find(); ++i) {
      if (i > 0) Thread.sleep(100);
      try (InputStream in = new URL(address).openStream()) {
        page = new String(in.readAllBytes(), "UTF-8");
      }
    }
    for (String line : page.split("\n")) out.println("ui " + line);
  }

  public static void main(String[] arguments) throws Exception {
    PrintStream out = new PrintStream(arguments[0], "UTF-8");
    try (JavaSparkContext context = new JavaSparkContext(new SparkConf())) {
      Listener listener = new Listener(out);
      context.sc().addSparkListener(listener);
      for (String kind : Arrays.copyOfRange(arguments, 1, arguments.length)) {
        listener.kind = kind;
        if (kind.equals("ui")) {
          showPage(context.sc().uiWebUrl().get() + "/taskmem/", out);
          continue;
        }
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
        listener.awaitAttempts();
      }
    }
    out.close();
  }
}
