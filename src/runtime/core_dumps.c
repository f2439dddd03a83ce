/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/core_dumps.h"

#include "runtime/log.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* The limit alone is not enough: it does not hold if the kernel pipes core dumps to a program. */
void core_dumps_forbid(void)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        log_warn("core dumps could not be forbidden: reason=\"%s\"", strerror(errno));
}
