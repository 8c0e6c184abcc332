package io.taskmem.spark;

import java.util.ArrayList;
import java.util.List;

/** What an executor tells the driver. On the way it is made of Java's own classes alone. */
final class ExecutorReport {
  static final int TASK_BYTES = 0;
  static final int RETAINED_BYTES = 1;
  static final int UNTRACKED_BYTES = 2;
  static final int REFUSALS = 3;
  static final int OVERFLOW_BYTES = 4;
  static final int ATTEMPTS = 5;
  static final int FIGURES = 6;

  private static final String MARK = "io.taskmem.report.2";

  final String executor;
  /** Attempts that have ended, the one of the largest peak first. */
  final List<LargestAttempts.Entry> largest;
  final long[] figures;
  final long receivedMs = System.currentTimeMillis();

  ExecutorReport(String executor, List<LargestAttempts.Entry> largest, long[] figures) {
    this.executor = executor;
    this.largest = largest;
    this.figures = figures;
  }

  Object[] message() {
    String[] names = new String[largest.size()];
    long[] bytes = new long[2 * names.length];
    for (int i = 0; i < names.length; ++i) {
      names[i] = largest.get(i).name;
      bytes[2 * i] = largest.get(i).peak;
      bytes[2 * i + 1] = largest.get(i).held;
    }
    return new Object[] {MARK, executor, names, bytes, figures};
  }

  /** null: it is none. */
  static ExecutorReport of(Object message) {
    if (!(message instanceof Object[])) return null;
    Object[] parts = (Object[]) message;
    if (parts.length != 5 || !MARK.equals(parts[0]) || !(parts[1] instanceof String)
        || !(parts[2] instanceof String[]) || !(parts[3] instanceof long[])
        || !(parts[4] instanceof long[]) || ((long[]) parts[4]).length != FIGURES) {
      return null;
    }
    String[] names = (String[]) parts[2];
    long[] bytes = (long[]) parts[3];
    if (bytes.length != 2 * names.length) return null;
    List<LargestAttempts.Entry> largest = new ArrayList<>();
    for (int i = 0; i < names.length; ++i) {
      largest.add(new LargestAttempts.Entry(names[i], bytes[2 * i], bytes[2 * i + 1]));
    }
    return new ExecutorReport((String) parts[1], largest, (long[]) parts[4]);
  }
}
