package io.taskmem.spark;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/** Those of an executor with the largest native peaks, the largest first. */
final class LargestAttempts {
  static final int MOST = 10;

  static final class Entry {
    final String name;
    final long peak;
    final long held;

    Entry(String name, long peak, long held) {
      this.name = name;
      this.peak = peak;
      this.held = held;
    }
  }

  private final List<Entry> entries = new ArrayList<>();

  synchronized void add(String name, long peak, long held) {
    if (entries.size() == MOST && entries.get(MOST - 1).peak >= peak) return;
    entries.add(new Entry(name, peak, held));
    entries.sort(Comparator.comparingLong(entry -> -entry.peak));
    if (entries.size() > MOST) entries.remove(MOST);
  }

  synchronized List<Entry> list() {
    return Collections.unmodifiableList(new ArrayList<>(entries));
  }
}
