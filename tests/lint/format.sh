#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The tree is formatted as .clang-format says. To mend it: find src tests bench -name '*.[ch]' | xargs clang-format -i
set -eu
format=$(command -v clang-format-14 || command -v clang-format) || { echo "clang-format is not installed: etc/test installs it"; exit 1; }
find src tests bench -name node_modules -prune -o -name '*.[ch]' -print | xargs "$format" --dry-run -Werror
