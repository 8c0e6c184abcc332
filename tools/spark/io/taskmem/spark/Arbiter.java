package io.taskmem.spark;

import io.taskmem.Consumer;
import io.taskmem.Native;
import java.io.IOException;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.spark.memory.MemoryConsumer;
import org.apache.spark.memory.MemoryManager;
import org.apache.spark.memory.MemoryMode;
import org.apache.spark.memory.TaskMemoryManager;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Holds in Spark's off-heap pool what an attempt holds natively beside Spark's own pages, so that
 * Spark's operators find so much less and spill; and asks them to spill where the attempt is at
 * its native quota.
 *
 * <p>What is acquired follows the books from a thread of the plugin's: never from inside malloc. It
 * is as much as the pool grants at once: nothing waits, is evicted or spilled for it. Locks are taken
 * in Spark's order: the attempt's TaskMemoryManager, this, the MemoryManager. An attempt's thread
 * may hold the first for long, while it spills or waits for memory: the thread that looks after all
 * attempts never takes it.
 */
final class Arbiter extends MemoryConsumer {
  private static final Logger LOG = LoggerFactory.getLogger(TaskmemPlugin.class);
  // Less is not worth the locks.
  private static final long STEP = 1L << 20;
  // Of the attempt's share of the pool, left to Spark's operators: once one has spilled all it has, it
  // needs some pages to go on, and fails without.
  private static final int PAGES_OF_SPARK = 4;

  private final long task;
  private final MemoryManager memory;
  private final long allowance;
  private final SparkConsumers sparkConsumers;
  private final AtomicBoolean isGrowing = new AtomicBoolean();
  private final long[] figures = new long[Native.TASK_FIGURES];
  private volatile boolean isSpillingForSpark;

  // Guarded by this.
  private long granted;
  private boolean isClosed;
  private long mostGranted;
  private long spilledForSpark;

  private volatile long unmet;
  // Of what the allocator keeps free for all.
  private volatile long slack;
  // Of what is granted, so much is for that. Guarded by this.
  private long grantedSlack;

  Arbiter(TaskMemoryManager tasks, MemoryManager memory, long task, long allowance) {
    super(tasks, tasks.pageSizeBytes(), MemoryMode.OFF_HEAP);
    this.task = task;
    this.memory = memory;
    this.allowance = allowance;
    sparkConsumers = SparkPool.knowsConsumers() ? new SparkConsumers() : null;
  }

  /** Spark's operators of the attempt, as a consumer of taskmem's. */
  private final class SparkConsumers extends Consumer {
    SparkConsumers() {
      super(task, "spark");
    }

    @Override
    protected long spill(long bytesNeeded) {
      // Spark asks for memory of this attempt, and holds the lock meanwhile.
      if (isSpillingForSpark) return 0;
      try {
        return spillSpark(bytesNeeded);
      } catch (IOException | RuntimeException | LinkageError e) {
        LOG.warn("taskmem: Spark's operators of task {} did not spill", task, e);
        return 0;
      }
    }
  }

  private long spillSpark(long bytes) throws IOException {
    long freed = 0;
    synchronized (taskMemoryManager) {
      synchronized (this) {
        if (isClosed) return 0;
      }
      for (MemoryConsumer each : SparkPool.consumersToAsk(taskMemoryManager, this, bytes)) {
        freed += each.spill(bytes - freed, this);
        if (freed >= bytes) break;
      }
    }
    return freed;
  }

  /** Looks at the books: gives back what is too much, and has `growers` acquire what is missing. */
  void settle(Executor growers, int liveAttempts, long slackBytes) {
    slack = slackBytes / Math.max(1, liveAttempts);
    long missing;
    synchronized (this) {
      if (isClosed) return;
      missing = wanted() - granted;
      if (missing <= -STEP || (missing < 0 && missing == -granted)) {
        release(-missing);
        missing = 0;
      }
    }
    unmet = Math.max(0, missing);
    if (missing < STEP || !isGrowing.compareAndSet(false, true)) return;
    growers.execute(() -> {
      try {
        grow(liveAttempts);
      } finally {
        isGrowing.set(false);
      }
    });
  }

  /** Needs the lock of this. */
  private long wanted() {
    if (Native.taskInfo(task, figures) != 0) return 0;
    // Spark's own pages are of malloc, too, and acquired already.
    long ofSpark = Math.max(0, SparkPool.ofTask(memory, task) - granted);
    if (sparkConsumers != null && !isSpillingForSpark) sparkConsumers.report(ofSpark);
    long held = Math.max(0, figures[Native.CHARGED] - ofSpark - allowance);
    grantedSlack = Math.max(0, Math.min(slack, granted - held));
    return Math.min(held + slack, memory.maxOffHeapMemory() / 2);
  }

  private void grow(int liveAttempts) {
    synchronized (taskMemoryManager) {
      synchronized (this) {
        if (isClosed) return;
        long missing = wanted() - granted;
        if (missing < STEP) return;
        synchronized (memory) {
          // 0 must not be asked for; what is more than this would have others spill, or wait.
          long ofSpark = Math.max(0, SparkPool.ofTask(memory, task) - granted);
          long reserved = Math.max(0, PAGES_OF_SPARK * taskMemoryManager.pageSizeBytes() - ofSpark);
          long grantable = SparkPool.grantable(memory, task, missing, liveAttempts, reserved);
          if (grantable >= STEP) granted += acquireMemory(grantable);
        }
        mostGranted = Math.max(mostGranted, granted);
        unmet = Math.max(0, wanted() - granted);
      }
    }
  }

  /** Needs the lock of this. */
  private void release(long bytes) {
    long given = Math.min(bytes, granted);
    if (given <= 0) return;
    granted -= given;
    freeMemory(given);
  }

  /**
   * Asked by Spark, which holds the attempt's lock. What is granted for memory that the allocator keeps
   * free is given back first: Spark's new pages come out of that. Then native consumers spill.
   */
  @Override
  public long spill(long bytes, MemoryConsumer trigger) {
    if (trigger == this || bytes <= 0) return 0;
    long given;
    synchronized (this) {
      given = Math.min(bytes, Math.min(grantedSlack, granted));
      grantedSlack -= given;
      release(given);
    }
    return given == bytes ? given : given + spillNatives(bytes - given);
  }

  private long spillNatives(long bytes) {
    if (sparkConsumers != null) sparkConsumers.report(0);
    isSpillingForSpark = true;
    try {
      long freed = Native.spillTask(task, bytes);
      if (freed <= 0) return 0;
      synchronized (this) {
        long given = Math.min(freed, granted);
        release(given);
        spilledForSpark += given;
        return given;
      }
    } finally {
      isSpillingForSpark = false;
    }
  }

  /** Gives everything back: before Spark itself cleans up. */
  void close() {
    synchronized (this) {
      if (isClosed) return;
      isClosed = true;
      release(granted);
      if (unmet >= STEP || spilledForSpark > 0) {
        LOG.info("taskmem: task {} had {} MiB of Spark's pool for native memory at most, {} MiB of it "
                + "were spilled for Spark, and {} MiB were missing at the end",
            task, DriverSide.mib(mostGranted), DriverSide.mib(spilledForSpark),
            DriverSide.mib(unmet));
      }
    }
    if (sparkConsumers != null) sparkConsumers.close();
  }
}
