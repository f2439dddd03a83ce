#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every source file says its licence in one of its first three lines.
set -eu
missing=$(find src tests bench etc third_party .ci CMakeLists.txt \( -name node_modules -o -name __pycache__ \) -prune -o -type f \
    \( -name '*.c' -o -name '*.h' -o -name '*.py' -o -name '*.sh' -o -name '*.mjs' -o -name '*.php' -o -name '*.go' -o -name '*.cmake' -o -name CMakeLists.txt \
    -o -path etc/run -o -path etc/test -o -path .ci/run \) -print |
    while IFS= read -r file; do
        head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file: no SPDX line"
    done)
[ -z "$missing" ] || { echo "$missing"; exit 1; }
echo "every file says its licence"
