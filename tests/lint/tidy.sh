#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over src/ with the checks of .clang-tidy. On demand only: CHECK_TIDY=1, as `etc/test` sets it. clang's analyzer takes nearly all of the time.
# With TIDY_CHANGED=1 it sees only the files that differ from the main branch (on it: from ten commits ago), and the .c files of changed headers.
set -eu
[ "${CHECK_TIDY:-0}" = 1 ] || { echo "skipped: set CHECK_TIDY=1"; exit 0; }
tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || { echo "clang-tidy is not installed: etc/test --tidy installs it"; exit 1; }
build=${TIDY_BUILD:-build/dev}
[ -f "$build/compile_commands.json" ] || { echo "$build/compile_commands.json is missing: cmake --preset dev makes it"; exit 1; }

check() { # ARGUMENT... of clang-tidy; the files come from standard input
    while read -r file; do
        [ ! -f "$file" ] || echo "$file"
    done | xargs -r -P2 -n8 "$tidy" -p "$build" --quiet "$@"
}

analyzed() {
    if [ "${TIDY_CHANGED:-0}" = 1 ] && git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        since=$(git merge-base HEAD main 2>/dev/null || git rev-parse HEAD)
        [ "$since" != "$(git rev-parse HEAD)" ] || since=$(git rev-parse HEAD~10 2>/dev/null || git rev-list --max-parents=0 HEAD | tail -n 1)
        { git diff --name-only "$since" -- src; git ls-files --others --exclude-standard -- src; } | sed -n 's/\.[ch]$/.c/p' | sort -u
    else
        find src -name '*.c' | sort
    fi
}

result=0
find src -name '*.c' | sort | check '--checks=-clang-analyzer-*' || result=1
analyzed | check || result=1
exit $result
