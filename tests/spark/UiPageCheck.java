package io.taskmem.spark;

import java.util.Arrays;
import java.util.Collections;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;

/** Prints the page of reports whose names are markup. */
public final class UiPageCheck {
  private UiPageCheck() {}

  public static void main(String[] arguments) {
    LargestAttempts attempts = new LargestAttempts();
    for (int i = 1; i <= LargestAttempts.MOST + 5; ++i) {
      attempts.add("task <script>alert('" + i + "')</script> & \"it\"", i << 20, 0);
    }
    long[] figures = new long[ExecutorReport.FIGURES];
    Arrays.fill(figures, 3 << 20);
    ExecutorReport sent = new ExecutorReport("<b>0</b>", attempts.list(), figures);
    ExecutorReport report = ExecutorReport.of(sent.message());
    Reports reports = new Reports();
    reports.add(report);
    System.out.println(UiPage.html(reports, report.receivedMs + 2500));
    reports.add(new ExecutorReport("1", Collections.emptyList(), figures));
    reports.onExecutorRemoved(new SparkListenerExecutorRemoved(0, "1", "idle"));
    // As it may still say when it ends.
    ExecutorReport late = new ExecutorReport("1", Collections.emptyList(), figures);
    reports.add(late);
    System.out.println(reports.live() + " of " + reports.all().size() + " live: "
        + reports.sumOfLive(ExecutorReport.TASK_BYTES) + " of "
        + reports.sum(ExecutorReport.TASK_BYTES));
    System.out.println(UiPage.html(reports, late.receivedMs + 7500));
  }
}
