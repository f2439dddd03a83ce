/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The account database (accounts.db) and the thread that owns it. Changes arrive by mailbox, are
 * committed, and are then published to the directory. Every row has the version of its last change,
 * from one counter, so that a replica can follow.
 */
#ifndef PENSTOCK_ACCOUNTS_ACCOUNTS_H
#define PENSTOCK_ACCOUNTS_ACCOUNTS_H

#include "accounts/directory.h"
#include "runtime/request.h"

struct accounts;

/* A change of a switch (model/switch.h): who made it, when, and why. */
#define SWITCH_ACTOR_BYTES 64
#define SWITCH_CHANGES_KEPT 1000
struct switch_change {
    enum switch_kind kind;
    char account[NAME_BYTES_MAX + 1]; /* as in struct operator_switch */
    uint64_t endpoint;
    bool is_off;
    int64_t at_us; /* wall */
    char reason[ACTION_NOTE_BYTES_MAX + 1];
    char actor[SWITCH_ACTOR_BYTES]; /* empty: the leader of this follower */
};

struct accounts_listener {
    /* On the accounts thread, after an endpoint was published or taken away. `version`: of the
     * change. */
    void (*on_endpoint_changed)(
        void *context, uint64_t endpoint, struct slice account, int64_t version);
    /* On the accounts thread, after a switch was changed and the directory shows it; on a follower
     * as well. The change is valid during the call. */
    void (*on_switch_changed)(void *context, const struct switch_change *change);
    void *context;
};

/*
 * Opens or creates accounts.db, starts the thread, fills the directory. ERR_NEWER_FORMAT,
 * ERR_DAMAGED (not ours, or not readable), ERR_DISK, ERR_DISK_FULL, ERR_SYSTEM, ERR_NO_MEMORY;
 * `ret_detail` (at least 256 bytes) says more.
 */
enum err accounts_open(const char *directory, const struct hash_seed *seed,
    struct accounts **ret_accounts, char *ret_detail) MUST_CHECK;
/* Once, before the services start. */
void accounts_listen(struct accounts *accounts, const struct accounts_listener *listener);
/* Ends the thread and frees the directory: after every reader's end. Takes NULL. */
void accounts_stop(struct accounts *accounts);

const struct directory *accounts_directory(const struct accounts *accounts);

/* Each with the fields of the request that it reads. */
enum accounts_change {
    ACCOUNTS_ADD_PARTNER, /* partner */
    /* partner, what `changes` (enum partner_change) names, out of `partner_wanted` */
    ACCOUNTS_CHANGE_PARTNER,
    ACCOUNTS_ADD_PARTNER_SECRET,    /* partner, secret: ret_secret_id */
    ACCOUNTS_REMOVE_PARTNER_SECRET, /* partner, secret_id */
    /* partner, credential_sha256, credential_wanted (label, expires_us, scope) */
    ACCOUNTS_ADD_CREDENTIAL,
    /* partner, credential_id, what `changes` (enum credential_change) names, out of
     * `credential_wanted` */
    ACCOUNTS_CHANGE_CREDENTIAL,
    ACCOUNTS_REVOKE_CREDENTIAL, /* partner, credential_id */
    ACCOUNTS_GRANT,             /* partner may post for account */
    ACCOUNTS_WITHDRAW_GRANT,    /* partner may no longer post for account */
    ACCOUNTS_ADD_ACCOUNT,       /* account */
    /* Nothing. Makes the account of operator events (model/operator_event.h). ERR_EXISTS: it was
     * made by an earlier start. ERR_INVALID: somebody else uses the name, see `detail`. */
    ACCOUNTS_RESERVE_OPERATORS,
    /* account, endpoint (name, url, flags, types, secrets or none), policy: ret_endpoint */
    ACCOUNTS_ADD_ENDPOINT,
    /* account, endpoint_id, what `changes` names, out of `endpoint` and `policy` */
    ACCOUNTS_CHANGE_ENDPOINT,
    ACCOUNTS_REMOVE_ENDPOINT, /* account, endpoint_id */
    /* account, endpoint_id, secret: ret_secret_id, a number within it */
    ACCOUNTS_ADD_ENDPOINT_SECRET,
    ACCOUNTS_REMOVE_ENDPOINT_SECRET, /* account, endpoint_id, secret_id; not the only one */
    /* switch_wanted (kind, is_off, reason, actor), account or empty, endpoint_id or 0:
     * ret_is_changed. Nothing changes if the switch is so already. */
    ACCOUNTS_SET_SWITCH,
};

/* How many switches may be off at once. */
#define SWITCHES_OFF_MAX 1000

enum partner_change {
    PARTNER_CHANGE_ENABLED = 1,
    PARTNER_CHANGE_KEY_POINTER = 2,
    PARTNER_CHANGE_RULES = 4
};
/* The scope of a key never changes: a partner that needs another one gets another key. */
enum credential_change { CREDENTIAL_CHANGE_LABEL = 1, CREDENTIAL_CHANGE_EXPIRY = 2 };

/* What people call a key: one line of UTF-8 without control characters, or nothing. */
bool credential_label_is_valid(struct slice text);
#define CREDENTIAL_LABEL_RULE "must be one line of at most 64 bytes, without control characters"
#define CREDENTIAL_EXPIRY_RULE "must be in the future. To end the key now, revoke it"

/* A partner's dedupe rule (model/key_pointer.h), or nothing. */
bool partner_key_pointer_is_valid(struct slice text);
#define PARTNER_KEY_POINTER_RULE                                                              \
    "must be a JSON pointer of 1 to 128 printable ASCII characters, such as /data/order, or " \
    "empty for none"

enum endpoint_change {
    ENDPOINT_CHANGE_URL = 1,
    ENDPOINT_CHANGE_ENABLED = 2,
    ENDPOINT_CHANGE_IDEMPOTENT = 4,
    ENDPOINT_CHANGE_FINAL_4XX = 8,
    ENDPOINT_CHANGE_TYPES = 16,
    ENDPOINT_CHANGE_POLICY = 32 /* NULL removes it */
};

/*
 * One change. Results: OK; ERR_EXISTS; ERR_NOT_FOUND (`detail` names the missing object);
 * ERR_INVALID (`detail` names the field, or the limit that is reached); ERR_UNAVAILABLE (another
 * process holds accounts.db); ERR_DISK, ERR_DISK_FULL, ERR_DAMAGED, ERR_NO_MEMORY. Unless the
 * result is OK, nothing has changed. Names, patterns and pointers are checked here; URLs by the
 * caller, who has the egress policy.
 */
struct accounts_request {
    struct request base; /* kind: enum accounts_change */
    char partner[NAME_BYTES_MAX + 1];
    char account[NAME_BYTES_MAX + 1];
    unsigned char credential_sha256[SHA256_BYTES];
    uint64_t credential_id; /* as credential_id() gives it */
    uint64_t secret_id;
    struct secret secret; /* without length: one is made, and returned here */
    uint64_t endpoint_id;
    unsigned changes; /* of enum partner_change, credential_change or endpoint_change */
    struct credential credential_wanted; /* returned as published, with its last use */
    struct partner partner_wanted; /* returned as published, after changes of its secrets too */
    /* Returned as published, or as it was when it was removed, but without its policy: that is in
     * the directory. A request that disables it says why: `disabled_reason`, a clause without
     * "because". Empty: nobody knows. */
    struct endpoint endpoint;
    const struct endpoint_policy *policy; /* the requester's reference; NULL: none */
    /* Returned with its time. A switch that was so already: since when, and why. */
    struct switch_change switch_wanted;
    bool ret_is_changed;
    char detail[160]; /* empty on OK */
    uint64_t ret_endpoint;
    bool ret_was_enabled; /* of ACCOUNTS_CHANGE_ENDPOINT: before the change */
    uint64_t ret_secret_id;
};

/* Any thread. The request belongs to accounts until on_done. */
void accounts_submit(struct accounts *accounts, struct accounts_request *request);

/* For main before the services start and for the tools: submits and waits. Not from a loop's
 * thread, nor from one that is online for RCU: removing waits for readers. */
enum err accounts_call(struct accounts *accounts, struct accounts_request *request);

/* The last changes of switches, the newest first. A follower has none. Results: OK, ERR_DISK,
 * ERR_DAMAGED. */
#define SWITCH_HISTORY_MAX 100
struct accounts_switch_history {
    struct request base;
    unsigned count_max; /* at most SWITCH_HISTORY_MAX */
    unsigned ret_count;
    struct switch_change ret_changes[SWITCH_HISTORY_MAX];
};

/* Any thread. The request belongs to accounts until on_done. */
void accounts_list_switch_changes(
    struct accounts *accounts, struct accounts_switch_history *request);

/* OK, or why the last write of accounts.db failed (ERR_DISK_FULL, ERR_DISK): changes are refused.
 * The disk is tried every second until it is well. Any thread. */
enum err accounts_trouble(const struct accounts *accounts);

#endif
