"""Fuzzers of what is read from others."""

load("@rules_cc//cc:defs.bzl", "cc_test")

# Some seconds of NAME.cc in every test run. Longer: bazel build -c opt --config=asan
# //tools/audit_report:audit_fuzz; bazel-bin/tools/audit_report/audit_fuzz --seconds=600
def fuzz_test(name, deps):
    cc_test(
        name = name,
        size = "small",
        srcs = [name + ".cc"],
        tags = ["fuzz"],
        deps = deps + ["//tests/support:fuzz_driver"],
    )
