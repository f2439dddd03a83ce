/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory: the RCU view of partners, accounts, endpoints and switches that are off, in a
 * liburcu lock-free hash table. A look-up takes no lock and makes no system call. The accounts
 * thread alone publishes, object by object; an object is immutable once published and is replaced
 * as a whole.
 *
 * What a look-up returns is valid while the calling thread stays online (rcu.h): in a loop, until
 * the callback returns.
 */
#ifndef PENSTOCK_ACCOUNTS_DIRECTORY_H
#define PENSTOCK_ACCOUNTS_DIRECTORY_H

#include "base/hash.h"
#include "base/limits.h"
#include "model/endpoint_policy.h"
#include "model/key_scope.h"
#include "model/object_id.h"
#include "model/partner_rules.h"
#include "model/signature.h"
#include "model/switch.h"
#include "model/type_list.h"

struct directory;

/* A secret that a partner signs with; several are active during a rotation. */
struct partner_secret {
    uint64_t id; /* random; for operators to name it by */
    struct secret secret;
    int64_t created_us; /* wall */
};

struct partner {
    char id[NAME_BYTES_MAX + 1];
    bool enabled;
    int64_t version;
    char key_pointer[KEY_POINTER_BYTES_MAX +
                     1]; /* where its events carry their dedupe key; empty: nowhere else */
    unsigned secrets_count;
    struct partner_secret secrets[PARTNER_SECRETS_MAX]; /* the oldest first */
    struct partner_rules rules;
};

#define CREDENTIAL_LABEL_BYTES_MAX 64

/* An API key of a partner. */
struct credential {
    unsigned char sha256[SHA256_BYTES];
    char partner[NAME_BYTES_MAX + 1];
    int64_t created_us; /* wall */
    int64_t expires_us; /* wall; from then on it is as unknown as a revoked one. 0: never */
    int64_t used_us;    /* wall, when it was published. Later uses: directory_last_use. 0: never */
    char label[CREDENTIAL_LABEL_BYTES_MAX + 1]; /* what people call it; may be empty */
    struct key_scope scope;
};

static inline bool credential_has_expired(const struct credential *credential, int64_t now_us)
{
    return credential->expires_us && now_us >= credential->expires_us;
}

/*
 * Which endpoints get an event: read the account first, then, for those with their bit in
 * `filtered`, the endpoint, all in one turn online. An endpoint is published before the account
 * that names it or sets its bit, and is removed only when no reader holds an account that names it.
 * So
 *   - an id in `endpoints` can be looked up in the same turn;
 *   - an endpoint without its bit takes everything, or did until now. While a filter is added, one
 *     event more than it allows may pass, for an instant;
 *   - an endpoint with its bit says what it takes at the moment of the look-up. One that has no
 *     filter any more has empty `types`, which means everything, whatever the bit says. So it
 *     misses nothing that it takes.
 * A change is answered after its publication: an event that is posted after the answer is routed by
 * it.
 */
struct account {
    char id[NAME_BYTES_MAX + 1];
    bool enabled;
    int64_t version;
    unsigned endpoints_count;
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX]; /* those that exist, disabled ones too */
    /* A bit for each of them that does not take all types: only those need to be looked at. */
    uint32_t filtered;
};

#define DISABLED_REASON_BYTES (ACTION_NOTE_BYTES_MAX + 1)

struct endpoint {
    uint64_t id;
    char account[NAME_BYTES_MAX + 1];
    char name[NAME_BYTES_MAX + 1];
    char url[URL_BYTES_MAX + 1];
    bool enabled;
    bool idempotent;        /* declares that it tells repeated deliveries apart by itself */
    struct type_list types; /* what it gets; empty: everything */
    bool final_4xx;         /* a 4xx other than 408, 425, 429 is its last word */
    /* NULL: none, and on a follower. The entry in the directory holds a reference; a thread that
     * keeps the policy beyond its callback takes its own. */
    const struct endpoint_policy *policy;
    int64_t disabled_us; /* wall; since when it is disabled. 0: it is enabled, or nobody knows */
    char disabled_reason[DISABLED_REASON_BYTES]; /* why; empty while it is enabled */
    int64_t version;
    unsigned secrets_count;
    struct secret secrets[ENDPOINT_SECRETS_MAX]; /* the oldest first */
    uint32_t
        secret_numbers[ENDPOINT_SECRETS_MAX]; /* counted within the endpoint, never given twice */
};

/* Whether it is to get events of this type. */
static inline bool endpoint_takes(const struct endpoint *endpoint, struct slice type)
{
    return endpoint->types.count == 0 || type_list_matches(&endpoint->types, type);
}

/* A switch that is off (model/switch.h). One that is on is not in the directory. */
struct operator_switch {
    enum switch_kind kind;
    char account[NAME_BYTES_MAX + 1]; /* empty: for the whole installation */
    uint64_t endpoint;                /* 0: for all endpoints of the account */
    int64_t since_us;                 /* wall */
    char reason[ACTION_NOTE_BYTES_MAX + 1];
    int64_t version;
};

/* Look-ups, by threads that are online; NULL when there is none. An expired credential is found. */
const struct credential *directory_credential(
    const struct directory *directory, const unsigned char credential_sha256[SHA256_BYTES]);
const struct partner *directory_partner_of_credential(
    const struct directory *directory, const unsigned char credential_sha256[SHA256_BYTES]);
const struct partner *directory_partner(const struct directory *directory, struct slice id);
const struct account *directory_account(const struct directory *directory, struct slice id);
const struct endpoint *directory_endpoint(const struct directory *directory, uint64_t id);
/* Copies the ids of the endpoints of an account. Returns their number: 0 without the account. */
unsigned directory_endpoints_of(const struct directory *directory, struct slice account,
    uint64_t ret_endpoints[ACCOUNT_ENDPOINTS_MAX]);
bool directory_may_post(
    const struct directory *directory, struct slice partner, struct slice account);

/*
 * The switch of this kind that is off for an endpoint of an account: that of the installation
 * before that of the account before that of the endpoint; NULL: it is on. Without an endpoint (0)
 * or an account (empty), only the wider ones are looked at. While no switch of the kind is off
 * anywhere, this reads one word.
 */
const struct operator_switch *directory_switch_off(const struct directory *directory,
    enum switch_kind kind, struct slice account, uint64_t endpoint);
/* The one of exactly this account and endpoint; NULL: it is on. */
const struct operator_switch *directory_switch_at(const struct directory *directory,
    enum switch_kind kind, struct slice account, uint64_t endpoint);
/* Counts the changes of switches: as long as it is the same, no switch has changed. Any thread. */
uint64_t directory_switch_changes(const struct directory *directory);

/*
 * The last use of a credential that a look-up or a walk has returned, by a thread that is online:
 * the only thing in the directory that readers write. One word for each credential, written at most
 * once a second. The accounts thread writes it to accounts.db once a minute, and at its end.
 */
void directory_note_use(const struct credential *credential, int64_t now_us);
int64_t directory_last_use(const struct credential *credential); /* wall; 0: never */

/* Walks over everything of one kind, in no order, by a thread that is online and stays so. */
void directory_each_partner(const struct directory *directory,
    void (*on_each)(const struct partner *partner, void *context), void *context);
void directory_each_account(const struct directory *directory,
    void (*on_each)(const struct account *account, void *context), void *context);
void directory_each_credential(const struct directory *directory,
    void (*on_each)(const struct credential *credential, void *context), void *context);
void directory_each_grant(const struct directory *directory,
    void (*on_each)(struct slice partner, struct slice account, void *context), void *context);
void directory_each_switch(const struct directory *directory,
    void (*on_each)(const struct operator_switch *off, void *context), void *context);

#endif
