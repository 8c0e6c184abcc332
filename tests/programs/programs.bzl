"""Small programs that tests run."""

load("@rules_cc//cc:defs.bzl", "cc_binary")

# Calls to malloc stay calls, and wrong ones are what some programs are for.
COPTS = [
    "-fno-builtin",
    "-Wno-alloc-size-larger-than",
    "-Wno-array-bounds",
    "-Wno-free-nonheap-object",
    "-Wno-use-after-free",
]

CXX_COPTS = COPTS + [
    "-fno-allocation-dce",
    "-Wno-mismatched-new-delete",
    "-Wno-sized-deallocation",
]

def programs(name, c_programs = [], cxx_programs = [], libraries = [], others = []):
    """A program of each source NAME.c and NAME.cc, NAME.so of each library, and all of them.

    Args:
      name: of the group with all of them
      c_programs: names of sources without .c
      cxx_programs: names of sources without .cc
      libraries: names of sources without .cc
      others: targets of the same package that belong to the group
    """
    for program in c_programs:
        cc_binary(
            name = program,
            testonly = True,
            srcs = [program + ".c"],
            copts = COPTS + ["-std=gnu11"],
            linkopts = ["-pthread"],
            deps = ["//tests/programs/support"],
        )
    for program in cxx_programs:
        cc_binary(
            name = program,
            testonly = True,
            srcs = [program + ".cc"],
            copts = CXX_COPTS,
            linkopts = [
                "-ldl",
                "-pthread",
            ],
            deps = ["//tests/programs/support"],
        )
    for library in libraries:
        cc_binary(
            name = library + ".so",
            testonly = True,
            srcs = [library + ".cc"],
            copts = CXX_COPTS,
            linkopts = ["-pthread"],
            linkshared = True,
            deps = ["//tests/programs/support"],
        )
    native.filegroup(
        name = name,
        testonly = True,
        srcs = c_programs + cxx_programs + [library + ".so" for library in libraries] + others,
    )
