"""How code is compiled that runs inside a program which is not ours."""

# The preload library has no C++ runtime: what is linked into it may not need one.
NO_RUNTIME = [
    "-fdata-sections",
    "-ffunction-sections",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
]
