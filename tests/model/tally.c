/* SPDX-License-Identifier: Apache-2.0 */
#include "tally.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

static _Atomic unsigned long *rows;

static const char *const titles[TALLY_COUNT] = {
#define X(symbol, title) [symbol] = title,
    TALLY_TABLE(X)
#undef X
};

void tally_init(void)
{
    rows = mmap(NULL, TALLY_COUNT * sizeof *rows, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (rows == MAP_FAILED)
        abort();
}

void tally(enum tally row)
{
    atomic_fetch_add_explicit(&rows[row], 1, memory_order_relaxed);
}

unsigned long tally_read(enum tally row)
{
    return atomic_load(&rows[row]);
}

const char *tally_title(enum tally row)
{
    return titles[row];
}
