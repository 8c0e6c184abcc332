import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;

/** Threads fill direct buffers. With "fill", one takes them until there are no more. */
public class DirectBuffers {
  static long sum(int seed) {
    CRC32 crc = new CRC32();
    for (int round = 0; round < 10; ++round) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20);
      for (int i = 0; i < buffer.capacity(); ++i) buffer.put((byte) (i * seed + round));
      buffer.flip();
      crc.update(buffer);
    }
    return crc.getValue();
  }

  public static void main(String[] arguments) throws Exception {
    if (arguments.length > 0 && arguments[0].equals("fill")) {
      List<ByteBuffer> buffers = new ArrayList<>();
      try {
        while (buffers.size() < 2000) buffers.add(ByteBuffer.allocateDirect(4 << 20));
        System.out.println("no limit");
      } catch (OutOfMemoryError error) {
        System.out.println("caught");
      }
    }
    long[] sums = new long[8];
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < sums.length; ++i) {
      int number = i;
      Thread thread = new Thread(() -> sums[number] = sum(number + 1));
      threads.add(thread);
      thread.start();
    }
    for (Thread thread : threads) thread.join();
    for (long sum : sums) System.out.println(sum);
  }
}
