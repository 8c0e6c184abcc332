package io.taskmem.spark;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;

/** The keys spark.taskmem.*, checked at the driver: what is wrong with them is one line. */
final class Settings {
  static final String PREFIX = "spark.taskmem.";
  static final String QUOTA = PREFIX + "task.quota";
  static final String ACCUMULATORS = PREFIX + "accumulators";
  static final String RETAINED_MIN = PREFIX + "retained.min";
  static final String REPORT_INTERVAL = PREFIX + "report.interval";
  static final String ARBITRATE = PREFIX + "arbitrate";
  static final String ALLOWANCE = PREFIX + "arbitrate.allowance";
  static final String ARBITER_INTERVAL = PREFIX + "arbitrate.interval";

  private static final List<String> KEYS = Arrays.asList(
      QUOTA, ACCUMULATORS, RETAINED_MIN, REPORT_INTERVAL, ARBITRATE, ALLOWANCE, ARBITER_INTERVAL);
  private static final String OFF_HEAP = "spark.memory.offHeap.enabled";

  private static final long MIB = 1L << 20;

  /** Of each attempt; 0: that of the process. */
  final long quotaBytes;
  final boolean hasAccumulators;
  /** An attempt that leaves at least so much behind is said in the executor's log. */
  final long retainedMinBytes;
  final long reportIntervalMs;
  /** Native bytes beyond the allowance are acquired from Spark's off-heap pool. */
  final boolean arbitrates;
  final long allowanceBytes;
  final long arbiterIntervalMs;

  /** Throws IllegalArgumentException with one line. Other keys may stand among them. */
  Settings(Map<String, String> all) {
    for (String key : new TreeSet<>(all.keySet())) {
      if (key.startsWith(PREFIX) && !KEYS.contains(key)) {
        throw new IllegalArgumentException("taskmem: " + key + " is no key: they are "
            + String.join(", ", KEYS.subList(0, KEYS.size() - 1)) + " and "
            + KEYS.get(KEYS.size() - 1));
      }
    }
    quotaBytes = quota(all);
    hasAccumulators = flag(all.get(ACCUMULATORS), ACCUMULATORS, true);
    retainedMinBytes = all.containsKey(RETAINED_MIN)
        ? bytes(all.get(RETAINED_MIN), RETAINED_MIN) : MIB;
    reportIntervalMs = all.containsKey(REPORT_INTERVAL)
        ? milliseconds(all.get(REPORT_INTERVAL), REPORT_INTERVAL) : 10_000;
    arbitrates = flag(all.get(ARBITRATE), ARBITRATE, false);
    allowanceBytes = all.containsKey(ALLOWANCE) ? bytes(all.get(ALLOWANCE), ALLOWANCE) : 4 * MIB;
    arbiterIntervalMs = all.containsKey(ARBITER_INTERVAL)
        ? milliseconds(all.get(ARBITER_INTERVAL), ARBITER_INTERVAL) : 50;
  }

  /** All keys of an application, of which some need others of Spark's own. */
  static Settings ofApplication(Map<String, String> all) {
    Settings settings = new Settings(all);
    if (settings.arbitrates && !"true".equalsIgnoreCase(all.get(OFF_HEAP))) {
      throw new IllegalArgumentException("taskmem: " + ARBITRATE + " needs " + OFF_HEAP
          + "=true and spark.memory.offHeap.size: native memory is acquired from that pool");
    }
    return settings;
  }

  private static IllegalArgumentException bad(String value, String key, String expected) {
    return new IllegalArgumentException(
        "taskmem: bad value '" + value + "' for " + key + ": expected " + expected);
  }

  private static boolean flag(String value, String key, boolean otherwise) {
    if (value == null) return otherwise;
    if (value.equals("true")) return true;
    if (value.equals("false")) return false;
    throw bad(value, key, "true or false");
  }

  /** "64m", "1g", "4096": binary units, as Spark's. -1: it is none. */
  private static long parseBytes(String value) {
    String text = value.trim().toLowerCase(Locale.ROOT);
    int digits = 0;
    while (digits < text.length() && Character.isDigit(text.charAt(digits))) ++digits;
    String unit = text.substring(digits);
    if (unit.endsWith("ib")) {
      unit = unit.substring(0, unit.length() - 2);
    } else if (unit.endsWith("b") && !unit.equals("b")) {
      unit = unit.substring(0, unit.length() - 1);
    }
    int shift = unit.isEmpty() || unit.equals("b") ? 0 : 10 * ("kmgt".indexOf(unit) + 1);
    if (digits == 0 || digits > 18 || unit.length() > 1 || (shift == 0 && !unit.isEmpty()
        && !unit.equals("b"))) {
      return -1;
    }
    long number = Long.parseLong(text.substring(0, digits));
    return number > Long.MAX_VALUE >> shift ? -1 : number << shift;
  }

  private static long bytes(String value, String key) {
    long bytes = parseBytes(value);
    if (bytes < 0) throw bad(value, key, "a size such as 64m or 1g");
    return bytes;
  }

  private static long milliseconds(String value, String key) {
    String text = value.trim();
    int factor = 1;
    if (text.endsWith("ms")) {
      text = text.substring(0, text.length() - 2);
    } else if (text.endsWith("s")) {
      text = text.substring(0, text.length() - 1);
      factor = 1000;
    }
    if (!text.matches("[0-9]{1,9}") || Long.parseLong(text) == 0) {
      throw bad(value, key, "a time above 0 such as 10s or 500ms");
    }
    return Long.parseLong(text) * factor;
  }

  /** Bytes, or "50%": of what an executor has beside its heap, divided by its slots. */
  private static long quota(Map<String, String> all) {
    String value = all.get(QUOTA);
    if (value == null || value.equals("none")) return 0;
    String expected = "a size above 0 such as 512m, a share such as 80%, or none";
    if (!value.endsWith("%")) {
      long bytes = parseBytes(value);
      if (bytes <= 0) throw bad(value, QUOTA, expected);
      return bytes;
    }
    String digits = value.substring(0, value.length() - 1);
    if (!digits.matches("[0-9]{1,3}")) throw bad(value, QUOTA, expected);
    int percent = Integer.parseInt(digits);
    if (percent == 0 || percent > 100) throw bad(value, QUOTA, expected);
    if (!all.containsKey("spark.executor.cores")) {
      throw new IllegalArgumentException("taskmem: " + QUOTA + "=" + value
          + " needs spark.executor.cores, or else a size: how many attempts run at once in an "
          + "executor is not known");
    }
    long bytes = besideHeap(all) / slots(all) * percent / 100;
    if (bytes < MIB) {
      throw new IllegalArgumentException(
          "taskmem: " + QUOTA + "=" + value + " is less than 1 MiB for each attempt");
    }
    return bytes;
  }

  private static long slots(Map<String, String> all) {
    int cores = Integer.parseInt(all.get("spark.executor.cores"));
    int each = Integer.parseInt(all.getOrDefault("spark.task.cpus", "1"));
    return Math.max(1, cores / Math.max(1, each));
  }

  private static long inMib(Map<String, String> all, String key, long otherwise) {
    String value = all.get(key);
    if (value == null) return otherwise;
    // Spark takes a number without a unit for MiB.
    String text = value.trim();
    return bytes(text.matches("[0-9]+") ? text + "m" : text, key);
  }

  private static long besideHeap(Map<String, String> all) {
    long heap = inMib(all, "spark.executor.memory", 1024 * MIB);
    double factor =
        Double.parseDouble(all.getOrDefault("spark.executor.memoryOverheadFactor", "0.1"));
    long overhead = inMib(all, "spark.executor.memoryOverhead",
        Math.max(384 * MIB, (long) (heap * factor)));
    boolean offHeap = "true".equalsIgnoreCase(all.get(OFF_HEAP));
    return overhead
        + (offHeap ? bytes(all.getOrDefault("spark.memory.offHeap.size", "0"),
            "spark.memory.offHeap.size") : 0);
  }

  /** What executors need of these. */
  static Map<String, String> ofPlugin(Map<String, String> all) {
    Map<String, String> own = new HashMap<>();
    for (Map.Entry<String, String> entry : all.entrySet()) {
      if (entry.getKey().startsWith(PREFIX)) own.put(entry.getKey(), entry.getValue());
    }
    return own;
  }
}
