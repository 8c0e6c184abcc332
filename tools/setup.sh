# Sourced by tools/taskmem and tools/test: installs what is missing, fetches
# sources, builds. Each step says so in one line, and so does each failure.
# Wants `root`, the checkout.

readonly BUILD_PACKAGES=(
  bazel-bootstrap bazel-platforms bazel-rules-cc bazel-rules-java bazel-rules-proto bazel-skylib
  ca-certificates
  g++ libcli11-dev libdw-dev libfmt-dev libmicrohttpd-dev libncurses-dev libxxhash-dev libzstd-dev nlohmann-json3-dev
  xz-utils zlib1g-dev
)
readonly TEST_PACKAGES=(
  chromium clang-format cmake gcc git groff-base libbenchmark-dev libgmock-dev libgtest-dev libjemalloc2
  liblz4-1 libmimalloc2.0 libtcmalloc-minimal4 libunwind-dev libvterm-dev openjdk-17-jdk-headless pkg-config
  prometheus python3 python3-jsonschema redis-server redis-tools ruby sqlite3 zsh
)
readonly SPARK_PACKAGES=(openjdk-17-jdk-headless python3-venv)

say() { echo "taskmem: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

# Only one set-up at a time in this checkout, until the shell ends or unlock.
lock() {
  mkdir -p "$root/out" || fail "cannot write to $root: the build needs a checkout of your own"
  exec 9>"$root/out/lock"
  if ! flock --nonblock 9; then
    say "waiting for another set-up in $root"
    flock 9
  fi
}

unlock() { exec 9>&-; }

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

missing_packages() {
  local installed package
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
  for package in "$@"; do
    grep -qxF "$package installed" <<<"$installed" || echo "$package"
  done
}

# A server that runs would go on with the compilers and the JDK that are about to be replaced.
stop_bazel_server() {
  command -v bazel >/dev/null || return 0
  (cd "$root" && bazel shutdown </dev/null >/dev/null 2>&1 9>&-) || true
}

# One whose JDK was replaced under it can start no compiler any more.
stop_outdated_bazel_server() {
  local base program
  base=$(readlink "$root/bazel-out") || return 0
  program=$(readlink "/proc/$(cat "${base%/execroot/*}/server/server.pid.txt" 2>/dev/null)/exe") || return 0
  [[ $program != *" (deleted)" ]] || stop_bazel_server
}

install_packages() {
  local missing log=$root/out/install.log
  stop_outdated_bazel_server
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    fail "packages are missing and there is no sudo; as root: apt-get install ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  stop_bazel_server
  {
    # The lists may be absent or so old that they name files that are gone.
    as_root apt-get -qq update &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes \
        --no-install-recommends "${missing[@]}"
  } >"$log" 2>&1 </dev/null || {
    tail -n 20 "$log" >&2
    fail "cannot install ${missing[*]} (see $log): they are packages of Debian 12"
  }
}

fetch_sources() {
  local package folder
  for package in mimalloc libunwind; do
    folder=$root/.cache/$package
    [[ -e $folder ]] && continue
    say "fetching the source of $package"
    mkdir -p "$root/.cache"
    "$root/tools/fetch_source" "$package" "$folder" </dev/null || exit 1
  done
  fetch_npm
}

fetch_npm() {
  local folder=$root/.cache/npm
  [[ -e $folder && ! -e $folder/incomplete ]] && return
  say "fetching what the page of a report is drawn with"
  mkdir -p "$root/.cache"
  "$root/tools/fetch_npm" "$folder" </dev/null || exit 1
}

fetch_spark() {
  mkdir -p "$root/.cache"
  "$root/tools/fetch_spark" "$root/.cache/pyspark" </dev/null
}

fetch_engines() {
  mkdir -p "$root/.cache"
  "$root/tools/fetch_engines" "$root/.cache/engines" </dev/null
}

# Bazel keeps a server: it must not inherit the lock.
run_bazel() { (cd "$root" && bazel "$@" </dev/null 9>&-); }

install_file() {
  install -m 755 "$1" "$2.new"
  mv -f "$2.new" "$2"
}

# Puts the command and the library into out/.
build() {
  say "building"
  # What changes while the build runs is newer than it.
  touch "$root/out/stamp.new"
  run_bazel build -c opt --noshow_progress --ui_event_filters=-info \
    //tools:taskmem_command //shim:libtaskmem.so >&2 ||
    fail "the build failed: see the messages above"
  install_file "$root/bazel-bin/tools/taskmem_command" "$root/out/taskmem"
  install_file "$root/bazel-bin/shim/libtaskmem.so" "$root/out/libtaskmem.so"
  mv -f "$root/out/stamp.new" "$root/out/stamp"
}
