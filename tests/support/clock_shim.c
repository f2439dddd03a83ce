/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a gateway (LD_PRELOAD): sets its wall clock PENSTOCK_TEST_CLOCK_S seconds ahead of
 * the machine's clock; behind it when the number is negative. A restart with another number gives
 * the gateway a clock that was set meanwhile.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    static int (*real)(clockid_t clock, struct timespec * ret_now);
    static long ahead_s;
    if (!real) {
        const char *text = getenv("PENSTOCK_TEST_CLOCK_S");
        ahead_s = text ? atol(text) : 0;
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int result = real(clock, ret_now);
    if (result == 0 && clock == CLOCK_REALTIME)
        ret_now->tv_sec += ahead_s;
    return result;
}
