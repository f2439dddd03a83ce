/* SPDX-License-Identifier: Apache-2.0 */
#include "http/tls_tickets.h"

#include "base/crypto.h"

#include <openssl/crypto.h>
#include <string.h>

void tls_tickets_init(struct tls_tickets *tickets)
{
    *tickets = (struct tls_tickets){.count = 0};
    pthread_mutex_init(&tickets->mutex, NULL);
}

void tls_tickets_done(struct tls_tickets *tickets)
{
    OPENSSL_cleanse(tickets->keys, sizeof tickets->keys);
    pthread_mutex_destroy(&tickets->mutex);
}

static void add_key(struct tls_tickets *tickets, int64_t now_mono_us)
{
    struct tls_ticket_key *key = &tickets->keys[0];
    memmove(key + 1, key, (TLS_TICKET_KEYS - 1) * sizeof *key);
    crypto_random(key->name, sizeof key->name);
    crypto_random(key->cipher, sizeof key->cipher);
    crypto_random(key->mac, sizeof key->mac);
    key->made_mono_us = now_mono_us;
    if (tickets->count < TLS_TICKET_KEYS)
        tickets->count++;
}

void tls_tickets_current(
    struct tls_tickets *tickets, int64_t now_mono_us, struct tls_ticket_key *ret_key)
{
    pthread_mutex_lock(&tickets->mutex);
    if (tickets->count == 0 || now_mono_us - tickets->keys[0].made_mono_us >= TLS_TICKET_PERIOD_US)
        add_key(tickets, now_mono_us);
    *ret_key = tickets->keys[0];
    pthread_mutex_unlock(&tickets->mutex);
}

bool tls_tickets_find(struct tls_tickets *tickets, int64_t now_mono_us,
    const unsigned char name[TLS_TICKET_NAME_BYTES], struct tls_ticket_key *ret_key,
    bool *ret_is_current)
{
    bool found = false;
    pthread_mutex_lock(&tickets->mutex);
    for (unsigned i = 0; i < tickets->count && !found; i++) {
        const struct tls_ticket_key *key = &tickets->keys[i];
        int64_t age_us = now_mono_us - key->made_mono_us;
        /* Keys are made when tickets are: without new ones an old key stays at its place. */
        if (memcmp(key->name, name, sizeof key->name) != 0 ||
            age_us >= TLS_TICKET_KEYS * TLS_TICKET_PERIOD_US)
            continue;
        *ret_key = *key;
        *ret_is_current = age_us < TLS_TICKET_PERIOD_US;
        found = true;
    }
    pthread_mutex_unlock(&tickets->mutex);
    return found;
}
