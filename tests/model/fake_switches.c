/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_switches.h"

#include "accounts/directory_publish.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#include <stdio.h>

#define STREAM STREAM_SWITCHES
#define SCOPES (1 + FAKE_ACCOUNTS + FAKE_ENDPOINTS) /* all, each account, each endpoint */

static bool is_off[SWITCHES][SCOPES];
static int64_t changed_us;

static void scope_of(unsigned scope, struct operator_switch *ret_off)
{
    if (scope > FAKE_ACCOUNTS) {
        const struct fake_endpoint *endpoint = &fake_endpoints[scope - 1 - FAKE_ACCOUNTS];
        ret_off->endpoint = endpoint->id;
        scope = 1 + endpoint->account;
    }
    snprintf(ret_off->account, sizeof ret_off->account, "%s",
        scope > 0 ? fake_account_names[scope - 1] : "");
}

static void publish(struct directory *directory, enum switch_kind kind, unsigned scope)
{
    struct operator_switch off = {.kind = kind, .since_us = 1, .reason = "simulated"};
    scope_of(scope, &off);
    if (is_off[kind][scope])
        directory_publish(directory, directory_entry_of_switch(&off));
    else
        directory_withdraw_switch(directory, kind, off.account, off.endpoint);
}

void fake_switches_init(void)
{
    memset(is_off, 0, sizeof is_off);
    changed_us = INT64_MIN;
}

bool fake_switches_are_off(enum switch_kind kind, const struct fake_endpoint *endpoint)
{
    return is_off[kind][0] || is_off[kind][1 + endpoint->account] ||
           is_off[kind][1 + FAKE_ACCOUNTS + (endpoint - fake_endpoints)];
}

bool fake_switches_have_changed_since(int64_t mono_us)
{
    return changed_us >= mono_us;
}

void fake_switches_publish(struct directory *directory)
{
    for (unsigned kind = 0; kind < SWITCHES; kind++)
        for (unsigned scope = 0; scope < SCOPES; scope++)
            if (is_off[kind][scope])
                publish(directory, (enum switch_kind)kind, scope);
}

static void apply(struct directory *directory, unsigned kind, unsigned scope, bool off)
{
    if (is_off[kind][scope] == off)
        return;
    is_off[kind][scope] = off;
    changed_us = sim_mono_us();
    trace("switch %s of scope %u: %s", switch_name((enum switch_kind)kind), scope,
        off ? "off" : "on");
    tally(off ? TALLY_SWITCHED_OFF : TALLY_SWITCHED_ON);
    if (directory)
        publish(directory, (enum switch_kind)kind, scope);
}

static void apply_number(struct directory *directory, unsigned number, bool off)
{
    apply(directory, number / SCOPES, number % SCOPES, off);
}

static void set(struct accounts *accounts, unsigned kind, unsigned scope, bool off)
{
    if (is_off[kind][scope] == off)
        return;
    if (accounts)
        fake_accounts_order(accounts, apply_number, kind * SCOPES + scope, off);
    else
        apply(NULL, kind, scope, off);
}

void fake_switches_set_all(struct accounts *accounts, enum switch_kind kind, bool off)
{
    set(accounts, kind, 0, off);
}

void fake_switches_change(struct accounts *accounts)
{
    static const enum switch_kind kinds[] = {SWITCH_DELIVERIES, SWITCH_RETRIES, SWITCH_OPTIONAL};
    enum switch_kind kind = kinds[sim_below(STREAM, 3)];
    set(accounts, kind, (unsigned)sim_below(STREAM, SCOPES), sim_chance(STREAM, 500));
}

void fake_switches_all_on(struct accounts *accounts)
{
    for (unsigned kind = 0; kind < SWITCHES; kind++)
        for (unsigned scope = 0; scope < SCOPES; scope++)
            set(accounts, kind, scope, false);
}
