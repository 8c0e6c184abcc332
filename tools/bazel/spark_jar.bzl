"""Jars that are compiled against Spark."""

def spark_jar(name, srcs, options = [], **kwargs):
    """name.jar of these Java sources and Python modules; an empty file where Spark could not be fetched."""
    native.genrule(
        name = name,
        srcs = srcs + ["@pyspark//:to_compile_with"],
        outs = [name + ".jar"],
        cmd = """
set -e
sources=; path=; modules=
for file in $(SRCS); do
  case $$file in
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
rm -rf $$classes
mkdir -p $$classes
$(JAVABASE)/bin/javac %s -d $$classes -cp "$$path" $$sources
[ -z "$$modules" ] || cp $$modules $$classes
# A jar is the same whenever it is made.
find $$classes -exec touch -d 1980-02-01T00:00:00Z {} +
$(JAVABASE)/bin/jar --create --file $@ --date 1980-02-01T00:00:00Z -C $$classes .
rm -rf $$classes
""" % (name, " ".join(options)),
        toolchains = ["@bazel_tools//tools/jdk:current_java_runtime"],
        **kwargs
    )
