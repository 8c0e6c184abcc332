package io.taskmem.spark;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import io.taskmem.Native;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectStreamClass;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskFailedReason;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.util.TaskCompletionListener;
import org.apache.spark.util.TaskFailureListener;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes each attempt a task of taskmem's, from its start until Spark has cleaned up behind it. On
 * its thread Spark calls in this order: onTaskStart, the body, listeners (the last that was
 * registered first, so ours last), its own cleaning up, onTaskSucceeded or onTaskFailed, where the
 * TaskContext is gone already.
 */
final class ExecutorSide implements ExecutorPlugin {
  private static final Logger LOG = LoggerFactory.getLogger(TaskmemPlugin.class);
  // An executor in the driver's process (local mode) says it once.
  private static final AtomicBoolean SAID_ABSENT = new AtomicBoolean();

  private static final class Attempt {
    final long id;
    final String name;
    final long previous;
    long peak;

    Attempt(long id, String name, long previous) {
      this.id = id;
      this.name = name;
      this.previous = previous;
    }
  }

  private final ThreadLocal<Attempt> current = new ThreadLocal<>();
  private PluginContext context;
  private Settings settings;
  private byte[] peakAccumulator;
  private byte[] heldAccumulator;
  private byte[] pythonAccumulator;
  private ScheduledExecutorService reporter;
  // null: nothing is arbitrated.
  private Arbiters arbiters;
  private boolean keepsRefusals;
  private boolean isOn;

  private final AtomicLong attempts = new AtomicLong();
  private final LargestAttempts largest = new LargestAttempts();

  @Override
  public void init(PluginContext plugin, Map<String, String> sent) {
    if (!Native.isPresent()) {
      if (SAID_ABSENT.compareAndSet(false, true)) {
        LOG.warn("taskmem: libtaskmem.so is not preloaded into executor {}, nothing is charged: "
            + "see spark.executorEnv.LD_PRELOAD", plugin.executorID());
      }
      return;
    }
    if (!saysWhatIsMissing(plugin.executorID())) return;
    context = plugin;
    Map<String, String> own = new HashMap<>(sent);
    peakAccumulator = decoded(own.remove(DriverSide.PEAK_ACCUMULATOR));
    heldAccumulator = decoded(own.remove(DriverSide.HELD_ACCUMULATOR));
    pythonAccumulator = decoded(own.remove(DriverSide.PYTHON_ACCUMULATOR));
    settings = new Settings(own);
    if (System.getenv("TASKMEM_LABEL") == null && Native.has("setLabel")) {
      Native.setLabel("executor " + plugin.executorID());
    }
    keepsRefusals = Native.has("keepRefusals", "takeRefusal");
    if (keepsRefusals) Native.keepRefusals();
    registerGauges(plugin.metricRegistry());
    reporter = Executors.newSingleThreadScheduledExecutor(run -> {
      Thread thread = new Thread(run, "taskmem-report");
      thread.setDaemon(true);
      return thread;
    });
    long interval = settings.reportIntervalMs;
    reporter.scheduleAtFixedRate(this::report, interval, interval, TimeUnit.MILLISECONDS);
    if (settings.arbitrates && Native.has("giveBackSlack", "spillTask")) {
      arbiters = new Arbiters(settings);
    }
    isOn = true;
    LOG.info("taskmem {}: executor {}, quota of an attempt {}", version(),
        plugin.executorID(), settings.quotaBytes == 0 ? "none of its own" : settings.quotaBytes);
  }

  private static String version() {
    return Native.has("version") ? Native.version() : "of another version";
  }

  /** The library of a node may be older than the jar. False: too old to do anything with. */
  private static boolean saysWhatIsMissing(String executor) {
    if (Native.missing().isEmpty()) return true;
    boolean isEnough = Native.has("attach", "attachBack", "endTask", "taskInfo", "processInfo");
    LOG.warn("taskmem: libtaskmem.so ({}) of executor {} is older than the jar and lacks {}: {}",
        version(), executor, String.join(", ", Native.missing()),
        isEnough ? "what needs that is left out" : "nothing is charged");
    return isEnough;
  }

  private static byte[] decoded(String text) {
    return text == null ? null : Base64.getDecoder().decode(text);
  }

  private static void registerGauges(MetricRegistry registry) {
    registry.register("taskBytes", gauge(Native.LIVE_BYTES));
    registry.register("retainedBytes", gauge(Native.RETAINED_BYTES));
    registry.register("untrackedBytes", gauge(Native.UNTRACKED_BYTES));
    registry.register("refusals", gauge(Native.ALL_REFUSALS));
    registry.register("overflowBytes", gauge(Native.OVERFLOW_BYTES));
    registry.register("liveTasks", gauge(Native.LIVE_TASKS));
  }

  private static Gauge<Long> gauge(int figure) {
    return () -> {
      long[] figures = new long[Native.PROCESS_FIGURES];
      return Native.processInfo(figures) == 0 ? figures[figure] : 0L;
    };
  }

  @Override
  public void onTaskStart() {
    if (!isOn) return;
    Attempt before = current.get();
    if (before != null) finish(before);
    TaskContext task = TaskContext.get();
    String name = task.stageId() + "." + task.partitionId() + " attempt " + task.attemptNumber();
    long id = task.taskAttemptId();
    long previous = Native.attach(id, name, settings.quotaBytes);
    if (previous < -1000) {
      LOG.warn("taskmem: task {} ({}) cannot be begun: error {}", id, name, -1000 - previous);
      return;
    }
    Attempt attempt = new Attempt(id, name, previous);
    current.set(attempt);
    NativeBytes peak = accumulator(peakAccumulator);
    NativeBytes held = accumulator(heldAccumulator);
    NativeBytes python = accumulator(pythonAccumulator);
    Arbiter arbiter = arbiters == null ? null : arbiters.start(task);
    task.addTaskCompletionListener((TaskCompletionListener) ended -> {
      if (arbiter != null) arbiters.end(arbiter);
      long[] figures = new long[Native.TASK_FIGURES];
      if (Native.taskInfo(id, figures) != 0) return;
      attempt.peak = figures[Native.PEAK];
      if (peak != null) peak.add(figures[Native.PEAK]);
      if (held != null) held.add(figures[Native.CHARGED]);
      if (python != null) python.add(PythonWorkers.takePeak(id));
    });
    task.addTaskFailureListener((TaskFailureListener) (failed, error) -> {
      String why = keepsRefusals ? Native.takeRefusal(id) : null;
      if (why == null) return;
      LOG.warn("taskmem: {}", why);
      error.addSuppressed(new NativeMemoryRefused(why));
    });
  }

  /** One of this attempt's own: it is registered with the attempt as it is read. */
  private static NativeBytes accumulator(byte[] bytes) {
    if (bytes == null) return null;
    try (ObjectInputStream objects = new ObjectInputStream(new ByteArrayInputStream(bytes)) {
      @Override
      protected Class<?> resolveClass(ObjectStreamClass described)
          throws IOException, ClassNotFoundException {
        try {
          return Class.forName(described.getName(), false, ExecutorSide.class.getClassLoader());
        } catch (ClassNotFoundException e) {
          return super.resolveClass(described);
        }
      }
    }) {
      return (NativeBytes) objects.readObject();
    } catch (IOException | ClassNotFoundException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void onTaskSucceeded() {
    finishCurrent();
  }

  @Override
  public void onTaskFailed(TaskFailedReason reason) {
    finishCurrent();
  }

  private void finishCurrent() {
    Attempt attempt = current.get();
    if (attempt != null) finish(attempt);
  }

  private void finish(Attempt attempt) {
    current.remove();
    Native.attachBack(attempt.previous);
    Native.endTask(attempt.id);
    long[] figures = new long[Native.TASK_FIGURES];
    if (Native.taskInfo(attempt.id, figures) != 0) return;
    long left = figures[Native.CHARGED];
    if (left > 0 && left >= settings.retainedMinBytes) {
      String sites = Native.has("largestSites") ? Native.largestSites(attempt.id) : null;
      LOG.warn("taskmem: task {} ({}) has ended and still holds {} MiB of native memory, peak {} MiB{}",
          attempt.id, attempt.name, DriverSide.mib(left), DriverSide.mib(figures[Native.PEAK]),
          sites == null ? "" : ": " + sites);
    }
    attempts.incrementAndGet();
    largest.add("task " + attempt.id + " (" + attempt.name + ")", figures[Native.PEAK], left);
  }

  private void report() {
    long[] now = new long[Native.PROCESS_FIGURES];
    if (Native.processInfo(now) != 0) return;
    long[] figures = new long[ExecutorReport.FIGURES];
    figures[ExecutorReport.TASK_BYTES] = now[Native.LIVE_BYTES];
    figures[ExecutorReport.RETAINED_BYTES] = now[Native.RETAINED_BYTES];
    figures[ExecutorReport.UNTRACKED_BYTES] = now[Native.UNTRACKED_BYTES];
    figures[ExecutorReport.REFUSALS] = now[Native.ALL_REFUSALS];
    figures[ExecutorReport.OVERFLOW_BYTES] = now[Native.OVERFLOW_BYTES];
    figures[ExecutorReport.ATTEMPTS] = attempts.get();
    ExecutorReport report = new ExecutorReport(context.executorID(), largest.list(), figures);
    try {
      context.send(report.message());
    } catch (Exception e) {
      LOG.debug("taskmem: no report", e);
    }
  }

  @Override
  public void shutdown() {
    if (!isOn) return;
    reporter.shutdownNow();
    if (arbiters != null) arbiters.shutdown();
    report();
  }
}
