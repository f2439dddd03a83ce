/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/installation: what a gateway that follows this one has to have in common with it. The
 * receipt key is part of it: whoever has the token may give receipts. */
#include "admin/admin_internal.h"

void admin_get_installation(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct admin_installation *installation = &admin->options.installation;
    if (!admin_authenticate(admin, exchange) || admin_refuse_as_follower(admin, exchange, "ask"))
        return;
    char seed[2 * HASH_SEED_BYTES + 1], key[2 * sizeof installation->receipt_key + 1];
    hex_encode(slice_of(installation->seed.bytes, HASH_SEED_BYTES), seed);
    hex_encode(slice_of(installation->receipt_key, sizeof installation->receipt_key), key);
    admin_answer_json(exchange, 200,
        json_pack("{s:s, s:s, s:i, s:i, s:s}", "id", installation->id, "seed", seed, "partitions",
            (int)installation->partitions, "shards", (int)admin->options.shards, "receipt_key",
            key));
}
