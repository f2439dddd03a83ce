#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over src/ with the checks of .clang-tidy. Slow, so only on demand: CHECK_TIDY=1, as `etc/test --tidy` sets it.
set -eu
[ "${CHECK_TIDY:-0}" = 1 ] || { echo "skipped: set CHECK_TIDY=1"; exit 0; }
tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || { echo "clang-tidy is not installed: etc/test --tidy installs it"; exit 1; }
build=${TIDY_BUILD:-build/dev}
[ -f "$build/compile_commands.json" ] || { echo "$build/compile_commands.json is missing: cmake --preset dev makes it"; exit 1; }
find src -name '*.c' | sort | xargs -P2 -n4 "$tidy" -p "$build" --quiet
