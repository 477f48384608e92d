#!/bin/sh
# usage: lint.sh [STATICCHECK]
# gofmt, go vet and staticcheck over the packages written by hand, and over examples/go. Without staticcheck
# (script/bootstrap bindings installs it into .venv) it answers 77, in CI 1.
cd "$(dirname "$0")" || exit 1
packages=". ./internal/clock ./internal/driver"
example=../../examples/go
unformatted=$(gofmt -l . $example) || exit 1
if [ -n "$unformatted" ]; then
    echo "gofmt would change: $unformatted" >&2
    exit 1
fi
go vet $packages && go vet -C $example . || exit 1
staticcheck=${1:-$(pwd)/../../.venv/bin/staticcheck}
if [ ! -x "$staticcheck" ]; then
    echo "no $staticcheck; script/bootstrap bindings installs it" >&2
    [ -z "$CI" ] && exit 77
    exit 1
fi
"$staticcheck" -checks all $packages && cd $example && "$staticcheck" -checks all .
