package io.taskmem.spark;

import org.apache.spark.util.AccumulatorV2;

/** Bytes of each attempt, and over them the largest or the sum. */
public final class NativeBytes extends AccumulatorV2<Long, Long> {
  private static final long serialVersionUID = 1;

  private final boolean sums;
  private long bytes;

  NativeBytes(boolean sums) {
    this.sums = sums;
  }

  @Override
  public boolean isZero() {
    return bytes == 0;
  }

  @Override
  public AccumulatorV2<Long, Long> copy() {
    NativeBytes copy = new NativeBytes(sums);
    copy.bytes = bytes;
    return copy;
  }

  @Override
  public void reset() {
    bytes = 0;
  }

  @Override
  public void add(Long more) {
    bytes = sums ? bytes + more : Math.max(bytes, more);
  }

  @Override
  public void merge(AccumulatorV2<Long, Long> other) {
    add(other.value());
  }

  @Override
  public Long value() {
    return bytes;
  }
}
