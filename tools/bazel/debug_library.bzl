"""A library built once more, from the same sources, with the checks and delays of accounting/base/debug.h."""

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
