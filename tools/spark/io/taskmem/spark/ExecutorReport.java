package io.taskmem.spark;

/** What an executor tells the driver. On the way it is made of Java's own classes alone. */
final class ExecutorReport {
  static final int TASK_BYTES = 0;
  static final int RETAINED_BYTES = 1;
  static final int UNTRACKED_BYTES = 2;
  static final int REFUSALS = 3;
  static final int ATTEMPTS = 4;
  static final int LARGEST_PEAK = 5;
  static final int FIGURES = 6;

  private static final String MARK = "io.taskmem.report.1";

  final String executor;
  /** The attempt of the largest peak. */
  final String largest;
  final long[] figures;

  ExecutorReport(String executor, String largest, long[] figures) {
    this.executor = executor;
    this.largest = largest;
    this.figures = figures;
  }

  Object[] message() {
    return new Object[] {MARK, executor, largest, figures};
  }

  /** null: it is none. */
  static ExecutorReport of(Object message) {
    if (!(message instanceof Object[])) return null;
    Object[] parts = (Object[]) message;
    if (parts.length != 4 || !MARK.equals(parts[0]) || !(parts[1] instanceof String)
        || !(parts[2] instanceof String) || !(parts[3] instanceof long[])
        || ((long[]) parts[3]).length != FIGURES) {
      return null;
    }
    return new ExecutorReport((String) parts[1], (String) parts[2], (long[]) parts[3]);
  }
}
