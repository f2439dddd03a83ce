/* SPDX-License-Identifier: Apache-2.0 */
/* The lengths of a client's messages, however they are cut. */
#include "base/cleanup.h"
#include "http/tls_internal.h"

#include <criterion/criterion.h>

#define RECORD(type, len) type, 3, 1, (len) >> 8, (len)&0xff
#define HELLO(len) 1, (len) >> 16, (len) >> 8 & 0xff, (len)&0xff

static bool take(const unsigned char *bytes, size_t len, size_t step, bool is_tls_1_3)
{
    struct tls_walker walker = {.is_done = false};
    for (size_t at = 0; at < len; at += step)
        if (!tls_walker_take(&walker, is_tls_1_3, bytes + at, at + step < len ? step : len - at))
            return false;
    return true;
}

TestSuite(tls_walker);

Test(tls_walker, messages_are_bounded_however_they_are_cut)
{
    static const struct {
        bool is_tls_1_3, good;
        unsigned len;
        unsigned char bytes[64];
    } cases[] = {
        {false, true, 13, {RECORD(22, 8), HELLO(4), 1, 2, 3, 4}},
        {false, true, 9, {RECORD(22, 4), HELLO(TLS_MESSAGE_BYTES_MAX)}},
        {false, false, 9, {RECORD(22, 4), HELLO(TLS_MESSAGE_BYTES_MAX + 1)}},
        {false, false, 9, {RECORD(22, 64), HELLO(0x1ffff)}},
        /* the header in two records, with an empty one between them */
        {false, false, 19, {RECORD(22, 1), 1, RECORD(22, 0), RECORD(22, 3), 0xff, 0, 0}},
        /* a second message, in the same record and in the next one */
        {false, false, 15, {RECORD(22, 10), HELLO(2), 9, 9, HELLO(0x10000)}},
        {true, false, 20, {RECORD(22, 6), HELLO(2), 9, 9, RECORD(22, 4), HELLO(0x10000)}},
        /* after ChangeCipherSpec: encrypted with TLS 1.2, a second hello with TLS 1.3 */
        {false, true, 15, {RECORD(20, 1), 1, RECORD(22, 4), HELLO(0xffffff)}},
        {true, false, 15, {RECORD(20, 1), 1, RECORD(22, 4), HELLO(0xffffff)}},
        /* other types are not looked into */
        {true, true, 9, {RECORD(23, 4), HELLO(0xffffff)}},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        for (size_t step = 1; step <= cases[i].len; step++)
            cr_expect_eq(take(cases[i].bytes, cases[i].len, step, cases[i].is_tls_1_3),
                cases[i].good, "%zu, in pieces of %zu", i, step);
}
