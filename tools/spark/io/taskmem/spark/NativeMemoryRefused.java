package io.taskmem.spark;

/** Stands in the text of an attempt's failure: why taskmem refused it memory. */
public final class NativeMemoryRefused extends RuntimeException {
  private static final long serialVersionUID = 1;

  NativeMemoryRefused(String why) {
    super(why, null, false, false);
  }
}
