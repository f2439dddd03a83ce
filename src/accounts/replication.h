/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the accounts of one gateway, the leader, are copied to those that follow it.
 *
 * Every row has the version of its last change, from one counter, and a removed object leaves its
 * row. So the changes after version V can be read from the tables, in pages in order of version. A
 * page has objects as they are now, not the steps that led there. An object that changes again is
 * sent again.
 *
 *   leader     accounts_replicate_call(READ, after V) -> a page of objects, the version that it
 *              reaches, and whether there is more
 *   follower   accounts_replicate_call(APPLY, page): one transaction, then published object by
 *              object under the rules of directory.h. The version that it has reached is in its
 *              database
 *
 * The last use of a key is no change: each gateway keeps its own. So is the history of switches:
 * the leader alone has it.
 *
 * A follower has no secrets and no policies of endpoints, since it sends nothing to them. So its
 * accounts.db cannot become a leader's (LEAD refuses). A database with a history of its own is
 * marked when it begins to FOLLOW: objects that no page has sent when the last page is applied are
 * removed. RESTART does the same for a follower whose leader has lost changes, since its database
 * was restored from a backup. Meanwhile the directory keeps what it has.
 *
 * An account never changes after its first endpoint, so its version is the lower one, and it is
 * sent first. A leader that changed accounts would have to send their endpoints again.
 */
#ifndef PENSTOCK_ACCOUNTS_REPLICATION_H
#define PENSTOCK_ACCOUNTS_REPLICATION_H

#include "accounts/accounts.h"

#define REPLICATION_PAGE_OBJECTS \
    500 /* a page ends with the version that reaches it: a few more are possible */

enum accounts_kind {
    ACCOUNTS_KIND_PARTNER,
    ACCOUNTS_KIND_ACCOUNT,
    ACCOUNTS_KIND_ENDPOINT,
    ACCOUNTS_KIND_CREDENTIAL,
    ACCOUNTS_KIND_GRANT,
    ACCOUNTS_KIND_SWITCH,
    ACCOUNTS_KINDS
};

const char *accounts_kind_name(enum accounts_kind kind); /* "partner" */

/* One object as it is, or, when it was removed, its id at least. */
struct accounts_object {
    enum accounts_kind kind;
    bool removed;
    bool is_news; /* set by APPLY: of a switch that was not so before */
    int64_t version, created_us;
    union {
        struct partner *partner;       /* owned by the page; with its secrets */
        struct endpoint *endpoint;     /* owned by the page; without secrets and policy */
        struct account account;        /* without its endpoints */
        struct operator_switch *off;   /* owned by the page; removed: it is on again */
        struct credential *credential; /* owned by the page; without its last use */
        struct {
            char partner[NAME_BYTES_MAX + 1], account[NAME_BYTES_MAX + 1];
        } grant;
    };
};

struct accounts_page {
    int64_t version; /* all changes up to it are in, from the one that was asked for on */
    bool more;       /* there are later ones */
    size_t count, capacity;
    struct accounts_object *objects;
};

/* A new object at the end, zeroed, with its partner, endpoint, credential or switch; NULL when
 * there is no memory. */
struct accounts_object *accounts_page_add(struct accounts_page *page, enum accounts_kind kind);
void accounts_page_done(struct accounts_page *page);

enum accounts_replication_kind {
    REPLICATION_READ,    /* after, page: filled. ERR_NOT_FOUND: `after` is beyond the last change */
    REPLICATION_APPLY,   /* page */
    REPLICATION_RESTART, /* the next page is the first one of all */
    REPLICATION_STATE,   /* ret_follows, ret_is_complete */
    /* from now on a leader's changes, and no others, are taken; there is no way back */
    REPLICATION_FOLLOW,
    REPLICATION_LEAD /* ERR_CONFIG: it is a follower's copy */
};

/* Results: as named above, ERR_DISK, ERR_DISK_FULL, ERR_DAMAGED (the file, or an impossible page),
 * ERR_NO_MEMORY. An error means that nothing has changed. */
struct accounts_replication {
    struct request base; /* kind: enum accounts_replication_kind */
    int64_t after;
    struct accounts_page page; /* the requester's, who ends it */
    bool ret_follows;
    bool ret_is_complete; /* all that a leader had has been here once */
    char detail[256];     /* empty on OK */
};

/* Any thread. The request belongs to accounts until on_done. */
void accounts_replicate(struct accounts *accounts, struct accounts_replication *request);
/* Submits and waits; by a thread that is offline for RCU and no loop's. */
enum err accounts_replicate_call(struct accounts *accounts, struct accounts_replication *request);

/* Of the last change that is published. Any thread. */
int64_t accounts_version(const struct accounts *accounts);

#endif
