import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * Five queries over tables that are made of numbers. Arguments: the file for the answers, rows, and how
 * often each query runs before it counts, and then. To the file goes a line for each query: the
 * seconds of processor time that this process took for it, its compilers left out, and a sum over the
 * answer.
 */
public final class SqlJob {
  private static final List<String> QUERIES = Arrays.asList(
      "select k % 1000 as g, sum(v), avg(v), count(*) from facts group by g",
      "select n.name, sum(f.v) from facts f join names n on f.k % 50000 = n.id group by n.name",
      "select k, v, row_number() over (partition by k % 5000 order by v, k) as r from facts",
      "select count(distinct text), max(length(text)) from facts",
      "select word, count(*) from (select explode(split(text, '-')) as word from facts) group by word");

  private SqlJob() {}

  private static double seconds(Path stat) throws IOException {
    String all = new String(Files.readAllBytes(stat), StandardCharsets.US_ASCII);
    String[] words = all.substring(all.lastIndexOf(')') + 2).split(" ");
    return (Long.parseLong(words[11]) + Long.parseLong(words[12])) / 100.0;
  }

  /**
   * User and system, of all threads but the JVM's compilers: what these do differs from run to run,
   * and more than what is looked for.
   */
  private static double cpuSeconds() throws IOException {
    double all = seconds(Paths.get("/proc/self/stat"));
    try (DirectoryStream<Path> threads = Files.newDirectoryStream(Paths.get("/proc/self/task"))) {
      for (Path thread : threads) {
        String name = new String(Files.readAllBytes(thread.resolve("comm")), StandardCharsets.US_ASCII);
        if (name.matches("C[12] Compiler.*\\s")) all -= seconds(thread.resolve("stat"));
      }
    }
    return all;
  }

  private static long run(SparkSession spark, String query) {
    // All of the answer is computed, and little of it is brought to the driver.
    Row row = spark.sql("select sum(hash(*)), count(*) from (" + query + ")").first();
    return row.getLong(0) + row.getLong(1);
  }

  public static void main(String[] arguments) throws Exception {
    long rows = Long.parseLong(arguments[1]);
    int before = Integer.parseInt(arguments[2]);
    int times = Integer.parseInt(arguments[3]);
    try (SparkSession spark = SparkSession.builder().getOrCreate();
        PrintStream out = new PrintStream(arguments[0], "UTF-8")) {
      spark.range(0, rows, 1, 4)
          .selectExpr("abs(hash(id)) as k", "hash(id, 7) % 1000000 as v",
              "concat('w', hash(id) % 1000, '-', 'x', hash(id, 3) % 1000) as text")
          .createOrReplaceTempView("facts");
      spark.range(0, 50000, 1, 2).selectExpr("cast(id as int) as id", "concat('n', id % 700) as name")
          .createOrReplaceTempView("names");
      for (String query : QUERIES) {
        for (int i = 0; i < before; ++i) run(spark, query);
        double start = cpuSeconds();
        long answer = 0;
        for (int i = 0; i < times; ++i) answer += run(spark, query);
        out.println(String.format("%.2f %d", cpuSeconds() - start, answer));
      }
    }
  }
}
