/* SPDX-License-Identifier: Apache-2.0 */
#include "main/roles.h"

enum err roles_check_found(struct journal *const *journals, unsigned shards, bool delivers,
    bool uses_broker, struct buffer *complaints)
{
    struct journal_found found = {0};
    for (unsigned i = 0; i < shards; i++) {
        found.open += journals[i]->found.open;
        found.broker_owned += journals[i]->found.broker_owned;
        found.outbox += journals[i]->found.outbox;
    }
    if (!delivers && found.open + found.broker_owned > 0) {
        buffer_add_format(complaints,
            "roles: the journals hold %lld deliveries that are not final, and %lld events of the "
            "broker. Start with "
            "roles: [ingress, delivery] until they are delivered (penstock status)\n",
            (long long)found.open, (long long)found.broker_owned);
        return ERR_CONFIG;
    }
    if (delivers && found.outbox > 0) {
        buffer_add_format(complaints,
            "roles: the journals hold %lld events that wait for the broker. Start with roles: "
            "[ingress] until they "
            "have gone (penstock status)\n",
            (long long)found.outbox);
        return ERR_CONFIG;
    }
    if (!uses_broker && found.broker_owned + found.outbox > 0) {
        buffer_add_format(complaints,
            "queue.kind: the journals hold %lld events of the broker, and %lld that wait for it. "
            "Start with "
            "queue.kind: rabbitmq until they have gone (penstock status)\n",
            (long long)found.broker_owned, (long long)found.outbox);
        return ERR_CONFIG;
    }
    return OK;
}
