/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of accounts/accounts.c: a real directory, and a coroutine that changes it as the
 * accounts thread does. What is known of accounts and endpoints outlives every crash (accounts.db
 * is not what is simulated here).
 *
 *   acc_two   two endpoints        acc_one   one       acc_tells_apart  one, which is idempotent
 *   acc_none  none, until one appears: its events are unrouted
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_ACCOUNTS_H
#define PENSTOCK_TESTS_MODEL_FAKE_ACCOUNTS_H

#include "accounts/accounts.h"

#define FAKE_ACCOUNTS 4
#define FAKE_ENDPOINTS 6
#define FAKE_LATER 5 /* the endpoint that comes later than the events of its account */
#define FAKE_PARTNER "shop"

struct fake_endpoint {
    uint64_t id;
    unsigned account;
    char name[16], url[48];
    bool idempotent, final_4xx;
    bool is_there; /* not: gone, or not made yet */
    bool enabled;
    /* Whether it was both there and enabled at some time in this run of the gateway, or in those
     * before whose last actions have not been looked at yet. */
    bool opened, opened_before;
    unsigned changes; /* in all */
};

extern const char *const fake_account_names[FAKE_ACCOUNTS];
extern struct fake_endpoint fake_endpoints[FAKE_ENDPOINTS];

/* For a new seed. */
void fake_accounts_init(void);
const struct fake_endpoint *fake_endpoint_of_id(uint64_t id); /* or NULL */
const struct fake_endpoint *fake_endpoint_of_url(const char *url);
bool fake_endpoint_is_open(const struct fake_endpoint *endpoint);
bool fake_account_is_open(unsigned account); /* one of its endpoints is */
/* The endpoints that an event of this account is for now. */
unsigned fake_account_endpoints(unsigned account, uint64_t ret_endpoints[ACCOUNT_ENDPOINTS_MAX]);

bool fake_endpoint_was_open(const struct fake_endpoint *endpoint);
void fake_accounts_looked(void);

/* One run of the gateway: the directory is filled, the coroutine starts; it ends. `on_changed` as
 * in accounts.h. */
struct accounts *fake_accounts_open(void (*on_changed)(uint64_t endpoint));
void fake_accounts_close(struct accounts *accounts);

enum fake_change { FAKE_ENABLE, FAKE_DISABLE, FAKE_TAKE_AWAY, FAKE_BRING_BACK };
/* By an operator. `accounts` is NULL while no gateway runs. */
void fake_accounts_change(
    struct accounts *accounts, struct fake_endpoint *endpoint, enum fake_change change);

#endif
