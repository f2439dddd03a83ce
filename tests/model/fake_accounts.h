/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces accounts/accounts.c: a real directory, and a coroutine that changes it, like the
 * accounts thread. Accounts and endpoints survive every crash, because accounts.db is not
 * simulated.
 *
 *   acc_two          two endpoints
 *   acc_one          one endpoint, and a second one that is added later
 *   acc_tells_apart  one endpoint, which is idempotent
 *   acc_none         no endpoint until one is added: its events are unrouted
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_ACCOUNTS_H
#define PENSTOCK_TESTS_MODEL_FAKE_ACCOUNTS_H

#include "accounts/accounts.h"
#include "fake_policy.h"

#define FAKE_ACCOUNTS 4
#define FAKE_ENDPOINTS 6
#define FAKE_LATER 5 /* the endpoint that is added later than events of its account */
#define FAKE_PARTNER "shop"
#define FAKE_REPLACED_MAX 8

struct fake_endpoint {
    uint64_t id;
    unsigned account;
    char name[16], url[48];
    bool idempotent, final_4xx;
    struct fake_policy policy;
    bool is_there; /* false: removed, or not created yet */
    bool enabled;
    /* Whether it was open (there and enabled) at some time in this run of the gateway; and in
     * earlier runs whose last actions no look has covered yet. */
    bool opened, opened_before;
    unsigned changes; /* in all */
    /* Rules that were replaced: a guarded attempt may have begun with them, and wait for its
     * commit. */
    const struct fake_rules *replaced[FAKE_REPLACED_MAX];
    unsigned replaced_count;
};

extern const char *const fake_account_names[FAKE_ACCOUNTS];
extern struct fake_endpoint fake_endpoints[FAKE_ENDPOINTS];

/* Called at the start of a seed. */
void fake_accounts_init(void);
const struct fake_endpoint *fake_endpoint_of_id(uint64_t id); /* or NULL */
const struct fake_endpoint *fake_endpoint_of_url(const char *url);
/* Of the URL of a status probe; or NULL. */
const struct fake_endpoint *fake_endpoint_of_question(const char *url, struct slice *ret_id);
/* Whether a request that is sent now may have begun with these rules. */
bool fake_endpoint_may_use(
    const struct fake_endpoint *endpoint, const struct fake_rules *rules, bool guarded);
/* No attempt waits for its commit: all that are sent from now on use the latest rules. */
void fake_accounts_all_is_received(void);
bool fake_endpoint_is_open(const struct fake_endpoint *endpoint);
bool fake_account_is_open(unsigned account); /* at least one of its endpoints is open */
/* Returns the endpoints to which an event of this account is routed now. */
unsigned fake_account_endpoints(unsigned account, uint64_t ret_endpoints[ACCOUNT_ENDPOINTS_MAX]);

bool fake_endpoint_was_open(const struct fake_endpoint *endpoint);
void fake_accounts_looked(void);

/* Called at the start and the end of a run of the gateway: fill the directory and start the
 * coroutine; stop it. `on_changed` as in accounts.h; `on_order` after each order. */
struct accounts *fake_accounts_open(
    void (*on_changed)(uint64_t endpoint, int64_t version), void (*on_order)(void));
/* The coroutine calls `do_it` in a later step, with these arguments. */
void fake_accounts_order(struct accounts *accounts,
    void (*do_it)(struct directory *directory, unsigned number, bool off), unsigned number,
    bool off);
void fake_accounts_close(struct accounts *accounts);

enum fake_change { FAKE_ENABLE, FAKE_DISABLE, FAKE_TAKE_AWAY, FAKE_BRING_BACK, FAKE_CHANGE_RULES };
/* A change by an operator. `accounts` is NULL while no gateway runs. */
void fake_accounts_change(
    struct accounts *accounts, struct fake_endpoint *endpoint, enum fake_change change);

#endif
