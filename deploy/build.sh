# shellcheck shell=bash disable=SC2154
# What ./run and ./test share: they install packages, configure, build, and print one line per
# phase. Sourced by bash under `set -euo pipefail` with the root of the tree in $root. Phases go to
# file descriptor 3.

phase_begin() { # name
  phase_start=$SECONDS
  printf '%-13s' "$1" >&3
}

phase_end() { # what was done
  printf '%-22s %4d s\n' "$1" $((SECONDS - phase_start)) >&3
}

# Ends the phase with the end of its log. The caller decides how to go on.
phase_failed() { # log
  phase_end FAILED
  { tail -n 30 "$1" | sed 's/^/  /'; echo "full log: $1"; } >&3
}

packages_of_kinds() { # kind...
  awk -v kinds=" $* " '!/^#/ && index(kinds, " " $1 " ") {print $2}' \
    "$root/deploy/packages.txt" | sort
}

packages_missing() { # kind...
  local wanted
  wanted=$(packages_of_kinds "$@")
  # shellcheck disable=SC2086  # One word per package.
  comm -23 <(echo "$wanted") \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
      awk '$1 == "installed" {print $2}' | sort -u)
}

may_be_root() {
  if [[ $(id -u) == 0 ]]; then return 0; fi
  command -v sudo >/dev/null || return 1
  [[ -t 0 ]] || sudo -n true 2>/dev/null
}

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

# An interrupted installation leaves packages half configured; apt refuses to go on before that is
# mended.
apt_install() { # package...
  local quiet=(env DEBIAN_FRONTEND=noninteractive)
  local apt=("${quiet[@]}" apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  as_root "${quiet[@]}" dpkg --configure -a || true
  as_root "${apt[@]}" update || return 1
  as_root "${apt[@]}" install -y --no-install-recommends "$@" && return
  as_root "${apt[@]}" install -y --no-install-recommends --fix-broken &&
    as_root "${apt[@]}" install -y --no-install-recommends "$@"
}

ensure_packages() { # kind...
  local log=$root/build/packages.log missing
  phase_begin packages
  if ! command -v dpkg-query >/dev/null; then
    phase_end "not Debian, unchecked"
    return
  fi
  mapfile -t missing < <(packages_missing "$@")
  if [[ ${#missing[@]} == 0 ]]; then
    phase_end "none missing"
    return
  fi
  if ! may_be_root; then
    phase_end FAILED
    echo "${#missing[@]} packages are missing, and only root may install them. As root:" >&3
    echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&3
    return 1
  fi
  if ! apt_install "${missing[@]}" >"$log" 2>&1 </dev/null; then
    phase_failed "$log"
    return 1
  fi
  phase_end "${#missing[@]} installed"
}

# Programs that tests call and whose installation would start a daemon: unpacked into build/tools.
# Without them those tests skip.
unpack_tools() { # kind...
  local tools=$root/build/tools name
  for name in $(packages_of_kinds "$@"); do
    [[ ! -e $tools/$name ]] || continue
    phase_begin tools
    mkdir -p "$tools/download"
    if (cd "$tools/download" && apt-get download "$name" && dpkg -x "$name"_*.deb "$tools" &&
      rm -f "$name"_*.deb && touch "$tools/$name") >"$root/build/tools.log" 2>&1 </dev/null; then
      phase_end "$name unpacked"
    else
      phase_end "no $name, some tests skip"
    fi
  done
  PATH=$PATH:$tools/usr/bin
}

# As many compilers as there are cores and 1.5 GB of memory for each.
compile_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable/ {print int($2 / 1500000)}' /proc/meminfo 2>/dev/null || true)
  memory=${memory:-$cores}
  ((memory > 0)) || memory=1
  echo $((memory < cores ? memory : cores))
}

# ccache only where it can write: it fails the compilation otherwise.
compiler_launcher() {
  local cache
  command -v ccache >/dev/null && cache=$(ccache -k cache_dir 2>/dev/null) &&
    mkdir -p "$cache" 2>/dev/null && [[ -w $cache ]] && echo ccache
  return 0
}

# Without tests only where nothing is configured yet, so that ./run leaves what ./test built.
configure_and_make() { # preset, with-tests|as-it-is, target...
  local preset=$1 tests=$2 options=()
  shift 2
  if [[ $tests == with-tests ]]; then
    options=(-DDROVER_TESTS=ON)
  elif [[ ! -e $root/build/$preset/CMakeCache.txt ]]; then
    options=(-DDROVER_TESTS=OFF)
  fi
  (cd "$root" && cmake --preset "$preset" "${options[@]}" \
    -DCMAKE_CXX_COMPILER_LAUNCHER="$(compiler_launcher)") &&
    cmake --build "$root/build/$preset" -j "$(compile_jobs)" --target "$@"
}

# Builds; a second time from nothing when the first failure is not an error in our sources but, as
# it seems, in the state of the build folder (moved, half written, made by another version).
make_targets() { # log, preset, with-tests|as-it-is, target...
  local log=$1 preset=$2
  shift
  configure_and_make "$@" >"$log" 2>&1 </dev/null && return
  if grep -qE '^[^ ]*: (fatal )?error: |undefined reference|No space left' "$log"; then
    return 1
  fi
  rm -rf "$root/build/$preset"
  configure_and_make "$@" >>"$log" 2>&1 </dev/null
}
