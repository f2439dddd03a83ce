/* SPDX-License-Identifier: Apache-2.0 */
#include "model/dedupe_key.h"

#include "base/crypto.h"
#include "base/limits.h"

#include <assert.h>

void dedupe_key_of(struct slice partner, struct slice account, struct slice type, struct slice key,
    struct dedupe_key *ret_key)
{
    char text[4 * 2 + 3 * NAME_BYTES_MAX + EVENT_KEY_BYTES_MAX];
    size_t len = 0;
    const struct slice parts[] = {partner, account, type, key};
    for (int i = 0; i < 4; i++) {
        assert(len + 2 + parts[i].len <= sizeof text);
        text[len++] = (char)(parts[i].len >> 8);
        text[len++] = (char)parts[i].len;
        if (parts[i].len)
            memcpy(text + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    unsigned char digest[SHA256_BYTES];
    crypto_sha256(slice_of(text, len), digest);
    memcpy(ret_key->bytes, digest, DEDUPE_KEY_BYTES);
}
