package io.taskmem;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Something that holds native memory of a task and can give it back: taskmem's spill hook
 * (tools/manual/hooks.md), with the shape of Spark's MemoryConsumer. It is asked where its task
 * finds too little under its quota, and, where Spark's memory is arbitrated, where Spark's operators
 * of the same attempt find too little in Spark's pool.
 *
 * <p>Nobody is asked before the first {@link #report}. Where the library is not preloaded, or the
 * task does not live, {@link #isRegistered} is false and nobody is ever asked.
 */
public abstract class Consumer implements AutoCloseable {
  /** The task that the thread which makes the consumer works for. */
  public static final long CURRENT_TASK = -9;

  // What comes with a block: its page, and what others of the task allocate meanwhile.
  private static final long MARGIN = 1L << 20;

  private static final Map<Long, Consumer> CONSUMERS = new ConcurrentHashMap<>();
  private static final AtomicLong HANDLES = new AtomicLong();

  private final long handle = HANDLES.incrementAndGet();
  private final long consumer;

  protected Consumer(String name) {
    this(CURRENT_TASK, name);
  }

  /** Of a live task. Its end unregisters the consumer, and {@link #close} does. */
  protected Consumer(long task, String name) {
    if (!Native.has("registerConsumer", "unregisterConsumer", "reportConsumer")) {
      consumer = 0;
      return;
    }
    CONSUMERS.put(handle, this);
    consumer = Math.max(0, Native.registerConsumer(task, name, handle));
    if (consumer == 0) CONSUMERS.remove(handle);
  }

  /**
   * Frees about so many bytes of native memory; returns how many. What counts is by how much less
   * the task holds afterwards. Runs on a thread of taskmem's while one that needs memory waits, for
   * at most --spill-timeout: it may take locks, but none that a thread holds while it allocates
   * native memory. One consumer has one call at a time. What it throws is taken for 0.
   */
  protected abstract long spill(long bytesNeeded) throws Exception;

  /** How much it could give back now; with 0 it is not asked. Takes no lock. */
  public final void report(long usedBytes) {
    if (consumer != 0) Native.reportConsumer(consumer, usedBytes);
  }

  public final boolean isRegistered() {
    return consumer != 0;
  }

  /**
   * From here on {@link #spill} is not called: waits for a call that is in flight, except inside
   * it. Hold no lock that it takes.
   */
  @Override
  public void close() {
    if (consumer == 0 || CONSUMERS.remove(handle) == null) return;
    Native.unregisterConsumer(consumer);
  }

  /**
   * Asks the consumers of this thread's task, Spark's operators among them where its memory is
   * arbitrated, until it has so many bytes left under its quota, or nobody frees any more. To be
   * called before native memory is allocated through Unsafe, ByteBuffer.allocateDirect or Spark's
   * Platform: while one of these waits for a spill the JVM cannot collect garbage, and a spill that
   * needs that is given up after --spill-timeout. Inside a spill it does nothing.
   */
  public static void makeRoom(long bytes) {
    if (!Native.has("currentTask", "taskInfo", "spillTask")) return;
    long task = Native.currentTask();
    long[] figures = new long[Native.TASK_FIGURES];
    if (task < 0 || Native.taskInfo(task, figures) != 0) return;
    long left = figures[Native.QUOTA] - figures[Native.CHARGED] - MARGIN;
    if (left < bytes) Native.spillTask(task, bytes - left);
  }

  static long spill(long handle, long bytesNeeded) {
    Consumer asked = CONSUMERS.get(handle);
    if (asked == null) return 0;
    try {
      return asked.spill(bytesNeeded);
    } catch (Exception | LinkageError | AssertionError e) {
      return 0;
    }
  }
}
