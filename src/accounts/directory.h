/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory: the RCU view of partners, accounts and endpoints, in a liburcu lock-free hash table. A look-up takes
 * no lock and makes no system call. The accounts thread alone publishes, object by object; an object is immutable once
 * published and is replaced as a whole.
 *
 * What a look-up returns is valid until the calling thread goes offline (rcu.h): for a loop, until the callback
 * returns.
 */
#ifndef PENSTOCK_ACCOUNTS_DIRECTORY_H
#define PENSTOCK_ACCOUNTS_DIRECTORY_H

#include "base/crypto.h"
#include "base/hash.h"
#include "base/limits.h"
#include "model/signature.h"
#include "model/type_list.h"

struct directory;

/* A secret that a partner signs with; several are active during a rotation. */
struct partner_secret {
    uint64_t id; /* random; for operators to name it by */
    struct secret secret;
};

struct partner {
    char id[NAME_BYTES_MAX + 1];
    bool enabled;
    int64_t version;
    char key_pointer[KEY_POINTER_BYTES_MAX + 1]; /* where its events carry their dedupe key; empty: nowhere else */
    unsigned secrets_count;
    struct partner_secret secrets[PARTNER_SECRETS_MAX];
};

struct account {
    char id[NAME_BYTES_MAX + 1];
    bool enabled;
    int64_t version;
    unsigned endpoints_count;
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX]; /* those that exist, disabled ones too */
    uint32_t filtered; /* a bit for each of them that does not take all types: only those need to be looked at */
};

struct endpoint {
    uint64_t id;
    char account[NAME_BYTES_MAX + 1];
    char name[NAME_BYTES_MAX + 1];
    char url[URL_BYTES_MAX + 1];
    bool enabled;
    bool idempotent;        /* declares that it tells repeated deliveries apart by itself */
    struct type_list types; /* what it gets; empty: everything */
    bool final_4xx;         /* a 4xx other than 408, 425, 429 is its last word */
    int64_t version;
    unsigned secrets_count;
    struct secret secrets[ENDPOINT_SECRETS_MAX];
};

/* Endpoint ids are random 63-bit numbers, written as ep_<16 hex digits>. */
#define ENDPOINT_ID_TEXT_BYTES (3 + 16 + 1)
void endpoint_id_format(uint64_t id, char ret_text[ENDPOINT_ID_TEXT_BYTES]);
bool endpoint_id_parse(struct slice text, uint64_t *ret_id);

/* Look-ups, by threads that are online; NULL when there is none. */
const struct partner *directory_partner_of_credential(
    const struct directory *directory, const unsigned char credential_sha256[SHA256_BYTES]);
const struct partner *directory_partner(const struct directory *directory, struct slice id);
const struct account *directory_account(const struct directory *directory, struct slice id);
const struct endpoint *directory_endpoint(const struct directory *directory, uint64_t id);
bool directory_may_post(const struct directory *directory, struct slice partner, struct slice account);

/* Walks over everything of one kind, in no order, by a thread that is online and stays so. */
void directory_each_partner(
    const struct directory *directory, void (*on_each)(const struct partner *partner, void *context), void *context);
void directory_each_account(
    const struct directory *directory, void (*on_each)(const struct account *account, void *context), void *context);
void directory_each_endpoint(
    const struct directory *directory, void (*on_each)(const struct endpoint *endpoint, void *context), void *context);

#endif
