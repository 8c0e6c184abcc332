package io.taskmem.spark;

import java.util.Arrays;
import java.util.Collections;

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
    System.out.println(
        UiPage.html(Collections.singletonList(report), report.receivedMs + 2500));
  }
}
