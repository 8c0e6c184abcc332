package org.apache.spark;

/** Listeners are told of what has happened so far: for tests alone, as Spark's own do it. */
public final class ListenerQueue {
  private ListenerQueue() {}

  public static void await(SparkContext context) throws Exception {
    context.listenerBus().waitUntilEmpty(60_000);
  }
}
