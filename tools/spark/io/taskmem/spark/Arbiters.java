package io.taskmem.spark;

import io.taskmem.Native;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.memory.MemoryManager;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Those of the attempts that run now. */
final class Arbiters {
  private static final Logger LOG = LoggerFactory.getLogger(TaskmemPlugin.class);

  // Less is not worth it.
  private static final long LEAST_SLACK = 4L << 20;

  private final Set<Arbiter> live = ConcurrentHashMap.newKeySet();
  private final long allowance;
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(daemons("taskmem-arbiter"));
  // One that waits for an attempt's lock keeps no other from its own.
  private final ExecutorService growers =
      Executors.newCachedThreadPool(daemons("taskmem-arbiter-grow"));

  Arbiters(Settings settings) {
    allowance = settings.allowanceBytes;
    clock.scheduleWithFixedDelay(
        this::settleAll, settings.arbiterIntervalMs, settings.arbiterIntervalMs,
        TimeUnit.MILLISECONDS);
  }

  private static ThreadFactory daemons(String name) {
    return run -> {
      Thread thread = new Thread(run, name);
      thread.setDaemon(true);
      return thread;
    };
  }

  /** On the attempt's thread, once it is a task. */
  Arbiter start(TaskContext attempt) {
    MemoryManager memory = SparkEnv.get().memoryManager();
    Arbiter arbiter =
        new Arbiter(attempt.taskMemoryManager(), memory, attempt.taskAttemptId(), allowance);
    live.add(arbiter);
    return arbiter;
  }

  void end(Arbiter arbiter) {
    live.remove(arbiter);
    arbiter.close();
  }

  private void settleAll() {
    if (live.isEmpty()) return;
    long[] process = new long[Native.PROCESS_FIGURES];
    Native.processInfo(process);
    long slack = process[Native.SLACK_BYTES];
    // Pages that Spark has freed stay in memory for a while, beside those it takes next. Where the
    // pool cannot hold them meanwhile they go at once.
    if (slack >= LEAST_SLACK && SparkPool.free(SparkEnv.get().memoryManager()) < slack) {
      Native.giveBackSlack();
      Native.processInfo(process);
      slack = process[Native.SLACK_BYTES];
    }
    for (Arbiter each : live) {
      try {
        each.settle(growers, live.size(), slack);
      } catch (RuntimeException | LinkageError | AssertionError e) {
        LOG.warn("taskmem: an attempt is not arbitrated", e);
        live.remove(each);
      }
    }
  }

  void shutdown() {
    clock.shutdownNow();
    growers.shutdown();
  }
}
