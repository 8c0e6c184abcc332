package io.taskmem.spark;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import org.apache.spark.memory.ExecutionMemoryPool;
import org.apache.spark.memory.MemoryConsumer;
import org.apache.spark.memory.MemoryManager;
import org.apache.spark.memory.MemoryMode;
import org.apache.spark.memory.TaskMemoryManager;
import org.apache.spark.memory.UnifiedMemoryManager;

/** What Spark keeps to itself of its off-heap pool: private in Scala, public to the JVM. */
final class SparkPool {
  private static final Field CONSUMERS = field(TaskMemoryManager.class, "consumers");
  private static final Field TASKS = field(ExecutionMemoryPool.class, "memoryForTask");
  private static final Object UNMANAGED_OF = companion();
  private static final Method UNMANAGED = unmanagedMethod();

  private SparkPool() {}

  private static Field field(Class<?> of, String name) {
    try {
      Field field = of.getDeclaredField(name);
      field.setAccessible(true);
      return field;
    } catch (ReflectiveOperationException | RuntimeException e) {
      return null;
    }
  }

  private static Object companion() {
    try {
      return Class.forName(UnifiedMemoryManager.class.getName() + "$").getField("MODULE$").get(null);
    } catch (ReflectiveOperationException | RuntimeException e) {
      return null;
    }
  }

  private static Method unmanagedMethod() {
    try {
      return UNMANAGED_OF == null
          ? null : UNMANAGED_OF.getClass().getMethod("getUnmanagedMemoryUsed");
    } catch (ReflectiveOperationException | RuntimeException e) {
      return null;
    }
  }

  /** False: this Spark has its consumers elsewhere, and they are not asked. */
  static boolean knowsConsumers() {
    return CONSUMERS != null;
  }

  /** Those of an attempt that could spill, the one to be asked first in front. Needs its lock. */
  static List<MemoryConsumer> consumersToAsk(TaskMemoryManager tasks, MemoryConsumer except,
      long bytes) {
    List<MemoryConsumer> asked = new ArrayList<>();
    try {
      for (Object each : (HashSet<?>) CONSUMERS.get(tasks)) {
        MemoryConsumer consumer = (MemoryConsumer) each;
        if (consumer != except && consumer.getUsed() > 0
            && consumer.getMode() == MemoryMode.OFF_HEAP) {
          asked.add(consumer);
        }
      }
    } catch (IllegalAccessException | ClassCastException e) {
      return new ArrayList<>();
    }
    // Spark's order: the smallest that is large enough, else the largest.
    asked.sort(Comparator.comparingLong(consumer -> {
      long used = consumer.getUsed();
      return used >= bytes ? used - Long.MAX_VALUE : -used;
    }));
    return asked;
  }

  /** What neither execution nor storage has of it. */
  static long free(MemoryManager memory) {
    synchronized (memory) {
      return memory.offHeapExecutionMemoryPool().memoryFree()
          + memory.offHeapStorageMemoryPool().memoryFree();
    }
  }

  static long ofTask(MemoryManager memory, long task) {
    synchronized (memory) {
      return memory.offHeapExecutionMemoryPool().getMemoryUsageForTask(task);
    }
  }

  /**
   * Of `bytes`, what the pool grants an attempt at once: without a wait, and without cached blocks
   * that are evicted; `reserved` of its share, and of what is free, is left to others of it. It is not
   * taken. Needs the lock of the manager.
   */
  static long grantable(MemoryManager memory, long task, long bytes, int liveAttempts,
      long reserved) {
    long storage = memory.offHeapStorageMemoryPool().memoryUsed();
    long free = free(memory);
    // Spark has an attempt wait that asks for more than its share. This is at most its share: Spark
    // counts storage only as far as it is not to be evicted.
    long max = memory.maxOffHeapMemory() - storage - unmanaged();
    long held = ofTask(memory, task);
    long share = max / Math.max(1, activeTasks(memory, held > 0, liveAttempts)) - held;
    return Math.max(0, Math.min(bytes, Math.min(free, share) - reserved));
  }

  private static int activeTasks(MemoryManager memory, boolean isCounted, int liveAttempts) {
    try {
      Object tasks = TASKS.get(memory.offHeapExecutionMemoryPool());
      return ((scala.collection.mutable.HashMap<?, ?>) tasks).size() + (isCounted ? 0 : 1);
    } catch (IllegalAccessException | RuntimeException e) {
      return liveAttempts + 1;
    }
  }

  /** From Spark 4.1 on: what others report that is not of the pool. */
  private static long unmanaged() {
    try {
      return UNMANAGED == null ? 0 : (Long) UNMANAGED.invoke(UNMANAGED_OF);
    } catch (ReflectiveOperationException | RuntimeException e) {
      return 0;
    }
  }
}
