package io.taskmem.spark;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.function.Supplier;
import org.apache.spark.SparkContext;
import org.apache.spark.ui.SparkUI;
import org.apache.spark.ui.SparkUITab;
import org.apache.spark.ui.UIUtils$;
import org.apache.spark.ui.WebUIPage;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.Function0;
import scala.Option;
import scala.collection.immutable.Nil$;
import scala.collection.immutable.Seq;
import scala.xml.Node;
import scala.xml.Unparsed;

/**
 * A tab of the driver's UI. What Spark has for that is its own, and of two kinds: requests are of
 * javax.servlet (3.5) or of jakarta.servlet (4.x), and what a page returns is any Seq of Scala's or
 * an immutable one. The page has a method for each; another kind of Spark has no tab.
 */
final class UiTab extends SparkUITab {
  private static final Logger LOG = LoggerFactory.getLogger(TaskmemPlugin.class);
  private static final String PREFIX = "taskmem";

  private UiTab(SparkUI ui, Supplier<String> html) {
    super(ui, PREFIX);
    attachPage(new Page(this, html));
  }

  @Override
  public String name() {
    return PREFIX;
  }

  /** `html`: of the page's content, asked for each time it is looked at. */
  static void attach(SparkContext context, Supplier<String> html) {
    try {
      if (context.ui().isEmpty()) return;
      if (!isKnown()) throw new NoSuchMethodException("a page of another kind");
      SparkUI ui = context.ui().get();
      ui.attachTab(new UiTab(ui, html));
    } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
      LOG.info("taskmem: no tab in the UI of Spark {}: {}", context.version(), e.toString());
    }
  }

  /** Whether this Spark's pages have nothing else to be done for than what is done here. */
  private static boolean isKnown() {
    for (Method method : WebUIPage.class.getMethods()) {
      if (!Modifier.isAbstract(method.getModifiers())) continue;
      Class<?>[] parameters = method.getParameterTypes();
      boolean isRender = method.getName().equals("render") && parameters.length == 1
          && parameters[0].getName().matches("(javax|jakarta)\\.servlet\\.http\\.HttpServletRequest")
          && (method.getReturnType() == Seq.class
              || method.getReturnType() == scala.collection.Seq.class);
      if (!isRender) return false;
    }
    return true;
  }

  private static final class Page extends WebUIPage {
    private final SparkUITab tab;
    private final Supplier<String> html;

    Page(SparkUITab tab, Supplier<String> html) {
      super("");
      this.tab = tab;
      this.html = html;
    }

    /** Of Spark 3.5; the compiler adds one that returns any Seq. */
    @Override
    public Seq<Node> render(javax.servlet.http.HttpServletRequest request) {
      return page(request);
    }

    /** Of Spark 4. */
    public Seq<Node> render(jakarta.servlet.http.HttpServletRequest request) {
      return page(request);
    }

    /** With Spark's own head, where that can be had. */
    @SuppressWarnings("unchecked")
    private Seq<Node> page(Object request) {
      Seq<Node> content = nodes(html.get());
      try {
        for (Method method : UIUtils$.class.getMethods()) {
          if (!method.getName().equals("headerSparkPage") || method.getParameterCount() != 7) continue;
          Function0<Seq<Node>> ask = () -> content;
          return (Seq<Node>) method.invoke(UIUtils$.MODULE$, request, "Native memory", ask, tab,
              Option.<String>empty(), false, false);
        }
      } catch (IllegalAccessException | InvocationTargetException | RuntimeException e) {
        LOG.debug("taskmem: a page without Spark's head", e);
      }
      return content;
    }

    private static Seq<Node> nodes(String html) {
      return Nil$.MODULE$.<Node>$colon$colon(new Unparsed(html));
    }
  }
}
