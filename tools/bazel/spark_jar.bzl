"""Jars that are compiled against Spark."""

def spark_jar(name, srcs, options = [], **kwargs):
    """name.jar of these Java sources and Python modules; an empty file where Spark could not be fetched.

    Sources in a folder compile_only are compiled with, and not in the jar."""
    native.genrule(
        name = name,
        srcs = srcs + ["@pyspark//:to_compile_with"],
        outs = [name + ".jar"],
        cmd = """
set -e
sources=; path=; modules=; others=
for file in $(SRCS); do
  case $$file in
    */compile_only/*.java) others="$$others $$file" ;;
    *.java) sources="$$sources $$file" ;;
    *.py) modules="$$modules $$file" ;;
    *.jar) [ ! -s "$$file" ] || path="$$path:$$file" ;;
  esac
done
if [ -z "$$path" ]; then
  : > $@
  exit 0
fi
classes=$(@D)/classes_of_%s
rm -rf $$classes $$classes.others
mkdir -p $$classes
if [ -n "$$others" ]; then
  $(JAVABASE)/bin/javac --release 8 -Xlint:-options -d $$classes.others $$others
  path="$$path:$$classes.others"
fi
$(JAVABASE)/bin/javac %s -d $$classes -cp "$$path" $$sources
[ -z "$$modules" ] || cp $$modules $$classes
# A jar is the same whenever it is made.
find $$classes -exec touch -d 1980-02-01T00:00:00Z {} +
$(JAVABASE)/bin/jar --create --file $@ --date 1980-02-01T00:00:00Z -C $$classes .
rm -rf $$classes $$classes.others
""" % (name, " ".join(options)),
        toolchains = ["@bazel_tools//tools/jdk:current_java_runtime"],
        **kwargs
    )
