/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One acceptance (P3): the scope of an event is (partner, account, type, key). The ledger knows it by 16 bytes of its
 * SHA-256 with every part's length in front, so that no two scopes run together.
 */
#ifndef PENSTOCK_MODEL_DEDUPE_H
#define PENSTOCK_MODEL_DEDUPE_H

#include "base/slice.h"

#define LEDGER_KEY_BYTES 16

struct ledger_key {
    unsigned char bytes[LEDGER_KEY_BYTES];
};

/* Each part at most 64 KiB; in practice NAME_BYTES_MAX and EVENT_KEY_BYTES_MAX. */
void dedupe_ledger_key(
    struct slice partner, struct slice account, struct slice type, struct slice key, struct ledger_key *ret_key);

#endif
