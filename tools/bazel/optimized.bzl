"""Files as they are given to users: optimized, whatever the build around them is."""

def _optimized_transition_impl(_settings, _attr):
    return {"//command_line_option:compilation_mode": "opt"}

_optimized_transition = transition(
    implementation = _optimized_transition_impl,
    inputs = [],
    outputs = ["//command_line_option:compilation_mode"],
)

def _optimized_files_impl(ctx):
    files = []
    for target in ctx.attr.srcs:
        files += target[DefaultInfo].files.to_list()
    return [DefaultInfo(files = depset(files))]

optimized_files = rule(
    implementation = _optimized_files_impl,
    attrs = {
        "srcs": attr.label_list(cfg = _optimized_transition, mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)
