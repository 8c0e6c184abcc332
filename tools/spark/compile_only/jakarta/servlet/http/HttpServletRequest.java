package jakarta.servlet.http;

/** As Spark 4 has it: to compile with, and not in the jar. */
public interface HttpServletRequest {}
