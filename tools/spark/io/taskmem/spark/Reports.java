package io.taskmem.spark;

import java.util.Collection;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;

/** The last report of each executor. One that is gone holds nothing, whatever it said last. */
final class Reports extends SparkListener {
  private final Map<String, ExecutorReport> last = new ConcurrentHashMap<>();
  // No id is given twice.
  private final Set<String> gone = ConcurrentHashMap.newKeySet();

  void add(ExecutorReport report) {
    last.put(report.executor, report);
  }

  @Override
  public void onExecutorRemoved(SparkListenerExecutorRemoved removed) {
    gone.add(removed.executorId());
  }

  boolean isGone(ExecutorReport report) {
    return gone.contains(report.executor);
  }

  /** Of those that are gone as well. */
  Collection<ExecutorReport> all() {
    return last.values();
  }

  int live() {
    int live = 0;
    for (ExecutorReport report : last.values()) live += isGone(report) ? 0 : 1;
    return live;
  }

  /** Of what there has been: executors that are gone count. */
  long sum(int figure) {
    long sum = 0;
    for (ExecutorReport report : last.values()) sum += report.figures[figure];
    return sum;
  }

  long sumOfLive(int figure) {
    long sum = 0;
    for (ExecutorReport report : last.values()) sum += isGone(report) ? 0 : report.figures[figure];
    return sum;
  }
}
