package io.taskmem;

import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.Collections;
import java.util.Set;
import java.util.TreeSet;

/**
 * taskmem's functions. They are those of the preload library itself, which the JVM finds among the
 * symbols of the process: no file is loaded. Where it is not preloaded, {@link #isPresent} is false
 * and nothing else may be called.
 *
 * <p>Jar and library may be of different versions: what a native method is needed for is asked of
 * {@link #has} first.
 *
 * <p>All are thread-safe. Sizes are bytes, ids are a task's; -1 is no task.
 */
public final class Native {
  private static final boolean PRESENT = load();
  private static final Set<String> MISSING = findMissing();

  private Native() {}

  private static boolean load() {
    try {
      System.loadLibrary("taskmem");
      return true;
    } catch (LinkageError | SecurityException e) {
      return false;
    }
  }

  private static Set<String> findMissing() {
    Set<String> missing = new TreeSet<>();
    if (!PRESENT) return missing;
    for (Method method : Native.class.getDeclaredMethods()) {
      if (Modifier.isNative(method.getModifiers())) missing.add(method.getName());
    }
    try {
      missing.removeAll(Arrays.asList(methods().split(" ")));
      return missing;
    } catch (UnsatisfiedLinkError e) {
      // It is of a time before it could say so, and had all of that time.
      return Collections.singleton("methods");
    }
  }

  public static boolean isPresent() {
    return PRESENT;
  }

  /** Whether the library is there, and has the native methods. */
  public static boolean has(String... methods) {
    return PRESENT && Collections.disjoint(MISSING, Arrays.asList(methods));
  }

  /** Native methods that this class knows of, and the library does not. */
  public static Set<String> missing() {
    return Collections.unmodifiableSet(MISSING);
  }

  // Indices of what taskInfo and processInfo fill in.
  public static final int CHARGED = 0;
  public static final int PEAK = 1;
  public static final int QUOTA = 2;
  public static final int OVERDRAFT = 3;
  public static final int REFUSALS = 4;
  public static final int OVERFLOW = 5;
  public static final int PEAK_OVERFLOW = 6;
  public static final int THREADS = 7;
  public static final int STATE = 8;
  public static final int TASK_FIGURES = 9;

  public static final int LIVE_BYTES = 0;
  public static final int RETAINED_BYTES = 1;
  public static final int UNTRACKED_BYTES = 2;
  public static final int ALL_REFUSALS = 3;
  public static final int OVERFLOW_BYTES = 4;
  public static final int LIVE_TASKS = 5;
  public static final int RESIDENT_BYTES = 6;
  public static final int SLACK_BYTES = 7;
  public static final int PROCESS_FIGURES = 8;

  /**
   * Begins the task, unless it is live, with a quota (0: that of the process), and attaches this
   * thread to it. Returns the id it worked for before; less than -1000: -1000 less an errno value.
   */
  public static native long attach(long id, String name, long quota);

  /** Attaches this thread to a task that may have ended: then to none. */
  public static native void attachBack(long id);

  public static native long currentTask();

  /** What the task still holds stays charged to it until it is freed. 0, or minus an errno value. */
  public static native int endTask(long id);

  public static native int setQuota(long id, long bytes);

  /** Of the newest task of this id, live or ended. 0, or minus an errno value. */
  public static native int taskInfo(long id, long[] figures);

  public static native int processInfo(long[] figures);

  public static native int setLabel(String label);

  /**
   * What the allocator keeps free and in memory goes back to the system, and for about a second what is
   * freed goes at once. Milliseconds, where there is much of it.
   */
  public static native void giveBackSlack();

  /** From now on the text of each task's last refusal is kept for {@link #takeRefusal}. */
  public static native int keepRefusals();

  /** Why the task was refused memory the last time, once; null: it was not. */
  public static native String takeRefusal(long id);

  /**
   * The code that holds most of the newest task of this id, by samples, as the text of a refusal has
   * it; null: nothing is known. Some milliseconds.
   */
  public static native String largestSites(long id);

  public static native String version();

  /** Names of the native methods that the library has, with blanks between. */
  private static native String methods();

  // Of spill hooks and blocks: Consumer and Block are what is used.

  /** Returns the consumer, or minus an errno value. Its hook is {@link #spill} with the handle. */
  static native long registerConsumer(long task, String name, long handle);

  static native int unregisterConsumer(long consumer);

  static native int reportConsumer(long consumer, long usedBytes);

  /**
   * Asks the consumers of a live task to free bytes, and waits for them. Returns by how much less
   * it holds, or minus an errno value.
   */
  public static native long spillTask(long id, long bytes);

  static native int putBlock(String name, long address, long bytes, int level);

  static native int getBlock(String name, long[] block);

  static native int releaseBlock(long[] block);

  static native int removeBlock(String name);

  /** Called by the library, on a thread of its own. */
  private static long spill(long handle, long bytesNeeded) {
    return Consumer.spill(handle, bytesNeeded);
  }
}
