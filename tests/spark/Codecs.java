import com.github.luben.zstd.ZstdOutputStreamNoFinalizer;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import net.jpountz.lz4.LZ4Factory;
import org.xerial.snappy.Snappy;
import sun.misc.Unsafe;

/** The codecs that Spark brings, each with a known amount of memory outside of the heap. */
final class Codecs {
  private Codecs() {}

  /** Compresses from a direct buffer into another, which have so many bytes together. */
  static void holdBuffers(String codec, long bytes, Unsafe unsafe) throws IOException {
    // What does not shrink grows by a little: by at most a sixth, as snappy has it.
    ByteBuffer from = ByteBuffer.allocateDirect((int) (bytes / 100 * 46));
    ByteBuffer to = ByteBuffer.allocateDirect((int) (bytes - bytes / 100 * 46));
    long x = 88172645463325252L;
    while (from.remaining() >= 8) {
      x ^= x << 13;
      x ^= x >>> 7;
      x ^= x << 17;
      from.putLong(x);
    }
    from.flip();
    while (to.hasRemaining()) to.put((byte) 1);
    to.clear();
    if (codec.equals("snappy")) {
      Snappy.compress(from, to);
    } else {
      LZ4Factory.nativeInstance().fastCompressor().compress(from, to);
    }
    unsafe.invokeCleaner(from);
    unsafe.invokeCleaner(to);
  }

  /** Streams of zstd, as Spark makes them, each with a context of the level's size. */
  static void holdZstd(int streams, int level) throws IOException {
    OutputStream nowhere = new OutputStream() {
      @Override
      public void write(int b) {}

      @Override
      public void write(byte[] bytes, int offset, int length) {}
    };
    List<ZstdOutputStreamNoFinalizer> all = new ArrayList<>();
    for (int i = 0; i < streams; ++i) {
      ZstdOutputStreamNoFinalizer stream = new ZstdOutputStreamNoFinalizer(nowhere);
      stream.setLevel(level);
      stream.write(new byte[1000]);
      stream.flush();
      all.add(stream);
    }
    for (ZstdOutputStreamNoFinalizer stream : all) stream.close();
  }
}
