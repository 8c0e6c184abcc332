#!/bin/sh
# same_files_test.sh KEPT MADE HOW: the file that is kept is as it is made, by HOW.
diff "$1" "$2" && exit 0
echo "$1 is not as it is made: $3 does that" >&2
exit 1
