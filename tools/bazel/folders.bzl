"""The order of a layer's folders, as visibility."""

# `names`, from the bottom up. The package of folder X is visible to //LAYER:above_X: the folders
# after it, and the packages in `above`. tests/layout_test reads the same lists.
def folders(names, above):
    for i in range(len(names)):
        native.package_group(
            name = "above_" + names[i],
            packages = ["//%s/%s" % (native.package_name(), name) for name in names[i + 1:]] + above,
        )
