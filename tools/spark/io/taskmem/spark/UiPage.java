package io.taskmem.spark;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** What the driver's UI shows of the last reports of executors, as HTML. */
final class UiPage {
  private static final int MOST_ATTEMPTS = 20;
  private static final String TABLE =
      "<table class=\"table table-bordered table-sm table-striped sortable\"><thead><tr>";

  private UiPage() {}

  static String html(Reports reports, long nowMs) {
    StringBuilder page = new StringBuilder("<h4>Executors</h4>");
    head(page, "Executor", "Live attempts", "Retained by ended attempts", "Of no attempt", "Refusals",
        "Overflow", "Attempts", "Reported");
    List<ExecutorReport> executors = new ArrayList<>(reports.all());
    executors.sort(Comparator.comparing((ExecutorReport report) -> report.executor.length())
        .thenComparing(report -> report.executor));
    for (ExecutorReport report : executors) {
      page.append("<tr>");
      cell(page, report.executor);
      bytes(page, report.figures[ExecutorReport.TASK_BYTES]);
      bytes(page, report.figures[ExecutorReport.RETAINED_BYTES]);
      bytes(page, report.figures[ExecutorReport.UNTRACKED_BYTES]);
      cell(page, Long.toString(report.figures[ExecutorReport.REFUSALS]));
      bytes(page, report.figures[ExecutorReport.OVERFLOW_BYTES]);
      cell(page, Long.toString(report.figures[ExecutorReport.ATTEMPTS]));
      cell(page, Math.max(0, nowMs - report.receivedMs) / 1000 + " s ago"
          + (reports.isGone(report) ? ", gone" : ""));
      page.append("</tr>");
    }
    page.append("</tbody></table><h4>Largest attempts that have ended</h4>");
    head(page, "Attempt", "Executor", "Peak", "Held at end");
    attempts(page, executors);
    return page.append("</tbody></table>").toString();
  }

  private static void attempts(StringBuilder page, List<ExecutorReport> executors) {
    List<Object[]> rows = new ArrayList<>();
    for (ExecutorReport report : executors) {
      for (LargestAttempts.Entry entry : report.largest) {
        rows.add(new Object[] {entry, report.executor});
      }
    }
    rows.sort(Comparator.comparingLong(row -> -((LargestAttempts.Entry) row[0]).peak));
    for (Object[] row : rows.subList(0, Math.min(MOST_ATTEMPTS, rows.size()))) {
      LargestAttempts.Entry entry = (LargestAttempts.Entry) row[0];
      page.append("<tr>");
      cell(page, entry.name);
      cell(page, (String) row[1]);
      bytes(page, entry.peak);
      bytes(page, entry.held);
      page.append("</tr>");
    }
  }

  private static void head(StringBuilder page, String... titles) {
    page.append(TABLE);
    for (String title : titles) page.append("<th>").append(escaped(title)).append("</th>");
    page.append("</tr></thead><tbody>");
  }

  private static void cell(StringBuilder page, String text) {
    page.append("<td>").append(escaped(text)).append("</td>");
  }

  /** Sorted by the number. */
  private static void bytes(StringBuilder page, long bytes) {
    page.append("<td sorttable_customkey=\"").append(bytes).append("\">")
        .append(DriverSide.mib(bytes)).append(" MiB</td>");
  }

  static String escaped(String text) {
    StringBuilder escaped = new StringBuilder();
    for (char c : text.toCharArray()) {
      if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'' || c < ' ') {
        escaped.append("&#").append((int) c).append(';');
      } else {
        escaped.append(c);
      }
    }
    return escaped.toString();
  }
}
