# Sourced by every script: strict mode, the checkout's root as working directory, shared helpers.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=$PWD/.venv
jobs=${FP6LLM_JOBS:-$(nproc)}

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# The usage text of a script: its leading comment.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

# Packages too large for .venv, in an environment of their own, whose interpreter is then $python:
# environment NAME REQUIREMENTS [PIP OPTION...]
environment() {
    local name=$1 requirements=$2
    shift 2
    python=$PWD/build/$name-venv/bin/python
    [[ -x $python ]] || "$venv/bin/python" -m venv "build/$name-venv"
    say "pip install -r $requirements"
    "$python" -m pip install --quiet --disable-pip-version-check "$@" -r "$requirements"
}

# The commit that is checked out, with + where files differ from it.
commit() {
    printf '%s%s\n' "$(git rev-parse --short=12 HEAD)" "$(git diff --quiet HEAD || echo +)"
}

# configure_and_build PRESET [TARGET...]
configure_and_build() {
    local preset=$1
    shift
    local options=(--log-level=WARNING "-DPython3_EXECUTABLE=$venv/bin/python")
    if command -v ccache >/dev/null; then
        options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    fi
    # Warnings are errors in CI, not for somebody with another compiler; gcc's sanitizers confuse them.
    local werror=OFF
    [[ -z ${CI:-} || $preset == tsan ]] || werror=ON
    options+=("-DFP6LLM_WERROR=$werror")
    # The Python binding is part of the build where script/bootstrap bindings put what it takes.
    if [[ $preset == release && -x $venv/bin/swig ]]; then options+=(-DFP6LLM_BUILD_PYTHON=ON); fi
    say "build $preset"
    cmake --preset "$preset" "${options[@]}"
    cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"}
}
