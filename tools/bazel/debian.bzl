"""Repositories that Bazel 4.2.3 would download, made from Debian's packages."""

def _debian_rules_cc(ctx):
    ctx.execute(["sh", "-c", "cp -rL /usr/share/bazel/rules/cc/. ."])

    # rules_cc 0.0.4 loads a symbol that the tools embedded in Bazel 4.2.3 lack.
    for path in [
        "cc/private/rules_impl/compiler_flag.bzl",
        "cc/private/rules_impl/cc_flags_supplier.bzl",
    ]:
        text = ctx.read(path).replace(", \"use_cpp_toolchain\"", "")
        ctx.file(path, text.replace(
            "use_cpp_toolchain()",
            "[\"@bazel_tools//tools/cpp:toolchain_type\"]",
        ))

debian_rules_cc = repository_rule(
    implementation = _debian_rules_cc,
    local = True,
)

def _empty_coverage_tools(ctx):
    ctx.file("BUILD", """
filegroup(
    name = "coverage_report_generator",
    visibility = ["//visibility:public"],
)
""")

empty_coverage_tools = repository_rule(implementation = _empty_coverage_tools)
