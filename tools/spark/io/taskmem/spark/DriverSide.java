package io.taskmem.spark;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectOutputStream;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Checks the settings, names the accumulators, and adds up what executors report. */
final class DriverSide implements DriverPlugin {
  static final String PEAK_ACCUMULATOR = "accumulator.peak";
  static final String HELD_ACCUMULATOR = "accumulator.held";
  static final String PYTHON_ACCUMULATOR = "accumulator.python";

  private static final Logger LOG = LoggerFactory.getLogger(TaskmemPlugin.class);

  // Spark itself only keeps weak references.
  private NativeBytes peak;
  private NativeBytes held;
  private NativeBytes python;
  private final Reports reports = new Reports();

  @Override
  public Map<String, String> init(SparkContext context, PluginContext plugin) {
    Map<String, String> all = new HashMap<>();
    for (scala.Tuple2<String, String> entry : context.getConf().getAll()) {
      all.put(entry._1(), entry._2());
    }
    Settings settings = Settings.ofApplication(all);
    Map<String, String> own = Settings.ofPlugin(all);
    // As executors do not know how many slots they have.
    if (settings.quotaBytes != 0) own.put(Settings.QUOTA, Long.toString(settings.quotaBytes));
    if (settings.hasAccumulators) {
      peak = new NativeBytes(false);
      held = new NativeBytes(true);
      own.put(PEAK_ACCUMULATOR, register(context, peak, "native memory peak"));
      own.put(HELD_ACCUMULATOR, register(context, held, "native memory held at end"));
      if (all.get("spark.python.daemon.module") != null) {
        python = new NativeBytes(false);
        own.put(PYTHON_ACCUMULATOR, register(context, python, "native memory peak of Python"));
      }
    }
    context.addSparkListener(reports);
    UiTab.attach(context, () -> UiPage.html(reports, System.currentTimeMillis()));
    return own;
  }

  /** So that failed attempts count as well. Serialized: each attempt makes its own of it. */
  private static String register(SparkContext context, NativeBytes accumulator, String name) {
    accumulator.register(context, scala.Option.apply(name), true);
    try (ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        ObjectOutputStream objects = new ObjectOutputStream(bytes)) {
      objects.writeObject(accumulator);
      objects.flush();
      return Base64.getEncoder().encodeToString(bytes.toByteArray());
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void registerMetrics(String application, PluginContext plugin) {
    // In local mode an executor has its own beside them.
    MetricRegistry registry = plugin.metricRegistry();
    registry.register("all.executors", (Gauge<Integer>) reports::live);
    registry.register("all.taskBytes", gaugeOfLive(ExecutorReport.TASK_BYTES));
    registry.register("all.retainedBytes", gaugeOfLive(ExecutorReport.RETAINED_BYTES));
    registry.register("all.untrackedBytes", gaugeOfLive(ExecutorReport.UNTRACKED_BYTES));
    registry.register("all.refusals", (Gauge<Long>) () -> reports.sum(ExecutorReport.REFUSALS));
  }

  private Gauge<Long> gaugeOfLive(int figure) {
    return () -> reports.sumOfLive(figure);
  }

  @Override
  public Object receive(Object message) {
    ExecutorReport report = ExecutorReport.of(message);
    if (report != null) reports.add(report);
    return null;
  }

  @Override
  public void shutdown() {
    if (reports.all().isEmpty()) return;
    LargestAttempts.Entry largest = new LargestAttempts.Entry("none", 0, 0);
    for (ExecutorReport report : reports.all()) {
      if (report.largest.isEmpty() || report.largest.get(0).peak <= largest.peak) continue;
      largest = report.largest.get(0);
    }
    LOG.info("taskmem: {} attempts in {} executors, largest native peak {} MiB by {}; refused {} "
            + "times; at the last report {} MiB were retained by ended attempts and {} MiB of none",
        reports.sum(ExecutorReport.ATTEMPTS), reports.all().size(), mib(largest.peak), largest.name,
        reports.sum(ExecutorReport.REFUSALS), mib(reports.sum(ExecutorReport.RETAINED_BYTES)),
        mib(reports.sum(ExecutorReport.UNTRACKED_BYTES)));
  }

  static String mib(long bytes) {
    return String.format("%.1f", bytes / 1048576.0);
  }
}
