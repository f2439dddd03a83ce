/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32 over rows. SQLite's pages have no checksum, and what a disk or a stray write has changed
 * must not be delivered as if a partner had sent it. Every part is added with its length, and the
 * tables add the number of the row: moved bytes and swapped rows are found as well. The values are
 * on disk: what is added, and in which order, never changes within a format version.
 */
#ifndef PENSTOCK_SQLITE_CHECKSUM_H
#define PENSTOCK_SQLITE_CHECKSUM_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define CHECKSUM_NUMBERS_MAX 16

/* Of a row: its numbers, at most CHECKSUM_NUMBERS_MAX, then its texts and blobs. Either may be
 * none. */
uint32_t checksum_columns(
    const int64_t *numbers, size_t numbers_count, const struct slice *texts, size_t texts_count);

/* Of one long text of bytes, in pieces and without lengths: `crc` is 0 at first. */
uint32_t checksum_add_bytes(uint32_t crc, struct slice bytes);

#endif
