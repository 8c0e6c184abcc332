"""A library or a test built once more, from the same sources, with the checks and delays of accounting/base/debug.h."""

def _debug_transition_impl(settings, _attr):
    return {"//command_line_option:copt": settings["//command_line_option:copt"] + ["-DTASKMEM_DEBUG=1"]}

_debug_transition = transition(
    implementation = _debug_transition_impl,
    inputs = ["//command_line_option:copt"],
    outputs = ["//command_line_option:copt"],
)

def _debug_library_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = output, target_file = ctx.files.library[0])
    return [DefaultInfo(files = depset([output]), runfiles = ctx.runfiles([output]))]

debug_library = rule(
    implementation = _debug_library_impl,
    attrs = {
        "library": attr.label(cfg = _debug_transition, mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)

def _debug_test_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = output, target_file = ctx.executable.program, is_executable = True)
    return [
        DefaultInfo(executable = output),
        testing.TestEnvironment({
            "GTEST_FILTER": ctx.attr.filter,
            "TASKMEM_DEBUG_DELAYS": ctx.attr.delays,
        }),
    ]

debug_test = rule(
    implementation = _debug_test_impl,
    test = True,
    attrs = {
        "program": attr.label(
            cfg = _debug_transition,
            doc = "A test of GoogleTest that needs no files.",
            executable = True,
            mandatory = True,
        ),
        "filter": attr.string(default = "*", doc = "Which tests of it."),
        "delays": attr.string(mandatory = True, doc = "TASKMEM_DEBUG_DELAYS."),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)
