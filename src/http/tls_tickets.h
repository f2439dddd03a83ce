/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of session tickets. A client sends its ticket to resume a session without a new key
 * exchange and without the signature of our certificate.
 *
 * A new key is made every 6 hours. Tickets of the two keys before it are accepted too, so every
 * ticket is good for its 12 hours (tls_context.c), and a stolen key opens no session that is older
 * than 18 hours. TLS 1.2 needs this, since its tickets have no forward secrecy. Keys are only in
 * memory: after a restart clients make full handshakes.
 *
 * All threads of a listener share the keys. Each use takes a lock for as long as a key is copied.
 */
#ifndef PENSTOCK_HTTP_TLS_TICKETS_H
#define PENSTOCK_HTTP_TLS_TICKETS_H

#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>

#define TLS_TICKET_NAME_BYTES 16 /* fixed by OpenSSL */
#define TLS_TICKET_KEYS 3
#define TLS_TICKET_PERIOD_US (6 * 3600 * US_PER_SECOND)

struct tls_ticket_key {
    unsigned char name[TLS_TICKET_NAME_BYTES];
    unsigned char cipher[32], mac[32];
    int64_t made_mono_us;
};

struct tls_tickets {
    pthread_mutex_t mutex;
    unsigned count;
    struct tls_ticket_key keys[TLS_TICKET_KEYS]; /* the newest first */
};

void tls_tickets_init(struct tls_tickets *tickets);
void tls_tickets_done(struct tls_tickets *tickets); /* wipes the keys */

/* Copies the key for new tickets, and makes a new one if it is due. */
void tls_tickets_current(
    struct tls_tickets *tickets, int64_t now_mono_us, struct tls_ticket_key *ret_key);
/* Copies the key of this name. Returns false if it does not exist or is too old. `ret_is_current`:
 * otherwise the client should get a new ticket. */
bool tls_tickets_find(struct tls_tickets *tickets, int64_t now_mono_us,
    const unsigned char name[TLS_TICKET_NAME_BYTES], struct tls_ticket_key *ret_key,
    bool *ret_is_current);

#endif
