/* SPDX-License-Identifier: Apache-2.0 */
/* In place of the system's clocks and randomness (replaced at link time by --wrap). */
#include "base/clock.h"
#include "base/crypto.h"
#include "sim.h"

int64_t __wrap_clock_wall_us(void);
int64_t __wrap_clock_mono_us(void);
void __wrap_crypto_random(void *ret_bytes, size_t len);

int64_t __wrap_clock_wall_us(void)
{
    return sim_wall_us();
}

int64_t __wrap_clock_mono_us(void)
{
    return sim_mono_us();
}

void __wrap_crypto_random(void *ret_bytes, size_t len)
{
    unsigned char *bytes = ret_bytes;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)sim_random(STREAM_SYSTEM);
}
