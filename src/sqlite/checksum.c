/* SPDX-License-Identifier: Apache-2.0 */
#include "sqlite/checksum.h"

#include <assert.h>
#include <libdeflate.h>

static void put_le64(unsigned char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

uint32_t checksum_add_bytes(uint32_t crc, struct slice bytes)
{
    return bytes.len ? libdeflate_crc32(crc, bytes.data, bytes.len) : crc;
}

static uint32_t add_slice(uint32_t crc, struct slice part)
{
    unsigned char len[8];
    put_le64(len, part.len);
    return checksum_add_bytes(libdeflate_crc32(crc, len, sizeof len), part);
}

/* All numbers at once: a call for each would cost more than its bytes. */
static uint32_t add_numbers(const int64_t *numbers, size_t count)
{
    unsigned char bytes[CHECKSUM_NUMBERS_MAX * 8];
    assert(count <= CHECKSUM_NUMBERS_MAX);
    for (size_t i = 0; i < count; i++)
        put_le64(bytes + 8 * i, (uint64_t)numbers[i]);
    return libdeflate_crc32(0, bytes, 8 * count);
}

uint32_t checksum_columns(
    const int64_t *numbers, size_t numbers_count, const struct slice *texts, size_t texts_count)
{
    uint32_t crc = add_numbers(numbers, numbers_count);
    for (size_t i = 0; i < texts_count; i++)
        crc = add_slice(crc, texts[i]);
    return crc;
}
