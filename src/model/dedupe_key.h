/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One acceptance (P3): the scope of an event is (partner, account, type, key). The dedupe store
 * identifies it by 16 bytes of a SHA-256. Each part is hashed with its length before it, so two
 * scopes never give the same input.
 */
#ifndef PENSTOCK_MODEL_DEDUPE_KEY_H
#define PENSTOCK_MODEL_DEDUPE_KEY_H

#include "base/slice.h"

#define DEDUPE_KEY_BYTES 16

struct dedupe_key {
    unsigned char bytes[DEDUPE_KEY_BYTES];
};

/* Each part has at most 64 KiB; in practice NAME_BYTES_MAX and EVENT_KEY_BYTES_MAX. */
void dedupe_key_of(struct slice partner, struct slice account, struct slice type, struct slice key,
    struct dedupe_key *ret_key);

#endif
