"""How code is compiled that runs inside a program which is not ours."""

# The preload library has no C++ runtime: what is linked into it may not need one.
NO_RUNTIME = [
    "-fdata-sections",
    "-ffunction-sections",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
]

# What runs inside a program that is not ours: no C++ runtime, no symbols but
# those of exports.lds.
PRELOAD_COPTS = [
    "-DNDEBUG",
    "-O2",
    "-fdata-sections",
    "-ffunction-sections",
    "-fno-builtin-malloc",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-ftls-model=initial-exec",
    "-fvisibility=hidden",
]

# The allocator. GCC's own loops for memset and memcpy are slower than libc's.
HEAP_COPTS = PRELOAD_COPTS + ["-mstringop-strategy=libcall"]

# Code of the preload library that is C.
PRELOAD_C_COPTS = [
    option
    for option in PRELOAD_COPTS
    if option not in ["-fno-rtti", "-fno-threadsafe-statics"]
] + ["-std=gnu11"]
