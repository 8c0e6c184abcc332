package io.taskmem.spark;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.SparkEnv;

/** What the workers of an attempt have left (python/taskmem_daemon.py): files PEAK HELD. */
final class PythonWorkers {
  private static final String FOLDER = "taskmem-python";

  private PythonWorkers() {}

  /** The peaks of an attempt's workers, added up, and takes them away; 0: it has none. */
  static long takePeak(long attempt) {
    File[] folders = SparkEnv.get().blockManager().diskBlockManager().localDirs();
    if (folders.length == 0) return 0;
    Path folder = folders[0].toPath().resolve(FOLDER);
    if (!Files.isDirectory(folder)) return 0;
    long peak = 0;
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, attempt + "-*")) {
      for (Path file : files) {
        if (file.toString().endsWith(".new")) continue;
        String text = new String(Files.readAllBytes(file), StandardCharsets.US_ASCII);
        Files.delete(file);
        peak += Long.parseLong(text.split(" ")[0]);
      }
    } catch (IOException | NumberFormatException e) {
      return peak;
    }
    return peak;
  }
}
