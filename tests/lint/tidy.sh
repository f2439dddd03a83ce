#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over src/ with the checks of .clang-tidy. Slow, so only on demand: CHECK_TIDY=1, as `etc/test` sets it. With TIDY_CHANGED=1 only the
# files that differ from the main branch (or, on it, from its last commit), and the .c files of changed headers.
set -eu
[ "${CHECK_TIDY:-0}" = 1 ] || { echo "skipped: set CHECK_TIDY=1"; exit 0; }
tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || { echo "clang-tidy is not installed: etc/test --tidy installs it"; exit 1; }
build=${TIDY_BUILD:-build/dev}
[ -f "$build/compile_commands.json" ] || { echo "$build/compile_commands.json is missing: cmake --preset dev makes it"; exit 1; }
if [ "${TIDY_CHANGED:-0}" = 1 ] && git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    since=$(git merge-base HEAD main 2>/dev/null || git rev-parse HEAD)
    files=$({ git diff --name-only "$since" -- src; git ls-files --others --exclude-standard -- src; } | sed -n 's/\.[ch]$/.c/p' | sort -u)
else
    files=$(find src -name '*.c' | sort)
fi
for file in $files; do
    [ ! -f "$file" ] || echo "$file"
done | xargs -r -P2 -n4 "$tidy" -p "$build" --quiet
