import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** Threads whose long names say for which task they work; each task has less than 80 MiB. */
public class ThreadNames {
  static final List<ByteBuffer> held = new ArrayList<>();

  static String name(int task) {
    return "Executor task launch worker for task 0.1 in stage 3.0 (TID " + task + ")";
  }

  static void take(String who) {
    try {
      ByteBuffer buffer = ByteBuffer.allocateDirect(80 << 20);
      System.out.println(who + ": " + (buffer.capacity() >> 20) + " MiB");
    } catch (OutOfMemoryError error) {
      System.out.println(who + ": refused");
    }
  }

  static void run(Runnable work) throws InterruptedException {
    Thread thread = new Thread(work);
    thread.start();
    thread.join();
  }

  /** Named before it runs: the JVM gives the system what it has room for. */
  static void runAs(String name, Runnable work) throws InterruptedException {
    Thread thread = new Thread(work, name);
    thread.start();
    thread.join();
  }

  public static void main(String[] arguments) throws Exception {
    run(
        () -> {
          try {
            for (int task = 11; task <= 12; ++task) {
              Thread.currentThread().setName(name(task));
              take("task " + task);
            }
            // The JVM gives it a name of its own, which is no task's.
            run(() -> take("helper of 12"));
            Thread.currentThread().setName("Executor task launch worker, idle");
            take("idle");
          } catch (InterruptedException error) {
            throw new IllegalStateException(error);
          }
        });
    runAs(name(13), () -> take("born as 13"));
    // Of both the system gets "TID 10000000000".
    for (String name : new String[] {"TID 100000000001", "TID 100000000002"}) {
      runAs(name, () -> held.add(ByteBuffer.allocateDirect(40 << 20)));
    }
    System.out.println("born as two: " + held.size() + " of 40 MiB");
  }
}
