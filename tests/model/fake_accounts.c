/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_accounts.h"

#include "accounts/directory_publish.h"
#include "fake_switches.h"
#include "model_flow.h"
#include "runtime/thread.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct accounts {
    struct directory *directory;
    struct mailbox mailbox;
    struct thread thread;
    struct mail stop;
    bool stopping;
    void (*on_changed)(uint64_t endpoint, int64_t version);
    void (*on_order)(void);
};

struct switch_order {
    struct mail mail;
    void (*do_it)(struct directory *directory, unsigned number, bool off);
    unsigned number;
    bool off;
};

struct change_order {
    struct mail mail;
    struct fake_endpoint *endpoint;
    enum fake_change change;
};

const char *const fake_account_names[FAKE_ACCOUNTS] = {
    "acc_two", "acc_one", "acc_tells_apart", "acc_none"};
struct fake_endpoint fake_endpoints[FAKE_ENDPOINTS];

static int64_t version;

void fake_accounts_init(void)
{
    static const unsigned accounts[FAKE_ENDPOINTS] = {0, 0, 1, 2, 3, 1};
    fake_rules_begin();
    fake_switches_init();
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
        struct fake_endpoint *endpoint = &fake_endpoints[i];
        *endpoint = (struct fake_endpoint){.account = accounts[i], .enabled = true};
        endpoint->id = sim_random(STREAM_SYSTEM) >> 1;
        endpoint->idempotent = accounts[i] == 2;
        endpoint->final_4xx = i == 1;
        endpoint->is_there = accounts[i] != 3 &&
                             i != FAKE_LATER; /* added later: its account then has older events */
        snprintf(endpoint->name, sizeof endpoint->name, "e%u", i);
        fake_policy_draw(&endpoint->policy, endpoint->name);
        snprintf(endpoint->url, sizeof endpoint->url, "https://e%u.example/in", i);
    }
}

const struct fake_endpoint *fake_endpoint_of_id(uint64_t id)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
        if (fake_endpoints[i].id == id)
            return &fake_endpoints[i];
    return NULL;
}

const struct fake_endpoint *fake_endpoint_of_url(const char *url)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
        if (strcmp(fake_endpoints[i].url, url) == 0)
            return &fake_endpoints[i];
    return NULL;
}

const struct fake_endpoint *fake_endpoint_of_question(const char *url, struct slice *ret_id)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
        char beginning[48];
        snprintf(beginning, sizeof beginning, "https://%s.example/status/", fake_endpoints[i].name);
        size_t len = strlen(beginning);
        if (strncmp(url, beginning, len) != 0)
            continue;
        *ret_id = slice_from_string(url + len);
        return &fake_endpoints[i];
    }
    return NULL;
}

bool fake_endpoint_may_use(
    const struct fake_endpoint *endpoint, const struct fake_rules *rules, bool guarded)
{
    bool may = rules == endpoint->policy.rules;
    for (unsigned i = 0; guarded && i < endpoint->replaced_count; i++)
        may |= i == FAKE_REPLACED_MAX || rules == endpoint->replaced[i];
    return may;
}

void fake_accounts_all_is_received(void)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
        fake_endpoints[i].replaced_count = 0;
}

bool fake_endpoint_is_open(const struct fake_endpoint *endpoint)
{
    return endpoint->is_there && endpoint->enabled;
}

bool fake_account_is_open(unsigned account)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
        if (fake_endpoints[i].account == account && fake_endpoint_is_open(&fake_endpoints[i]))
            return true;
    return false;
}

bool fake_endpoint_was_open(const struct fake_endpoint *endpoint)
{
    return endpoint->opened || endpoint->opened_before;
}

void fake_accounts_looked(void)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
        fake_endpoints[i].opened_before = false;
}

unsigned fake_account_endpoints(unsigned account, uint64_t ret_endpoints[ACCOUNT_ENDPOINTS_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
        if (fake_endpoints[i].account == account && fake_endpoints[i].is_there)
            ret_endpoints[count++] = fake_endpoints[i].id;
    return count;
}

/* The directory. Replaced entries are never freed: a coroutine may be reading them. */

static void publish(struct accounts *self, struct directory_entry *entry)
{
    assert(entry);
    directory_publish(self->directory, entry);
}

static void publish_account(struct accounts *self, unsigned number)
{
    struct account account = {.enabled = true, .version = ++version};
    snprintf(account.id, sizeof account.id, "%s", fake_account_names[number]);
    account.endpoints_count = fake_account_endpoints(number, account.endpoints);
    publish(self, directory_entry_of_account(&account));
}

static void publish_endpoint(struct accounts *self, const struct fake_endpoint *fake)
{
    struct endpoint endpoint = {
        .id = fake->id,
        .enabled = fake->enabled,
        .idempotent = fake->idempotent,
        .final_4xx = fake->final_4xx,
        .version = ++version,
        .secrets_count = 1,
        .policy = endpoint_policy_ref(fake->policy.parsed),
    };
    snprintf(endpoint.account, sizeof endpoint.account, "%s", fake_account_names[fake->account]);
    snprintf(endpoint.name, sizeof endpoint.name, "%s", fake->name);
    snprintf(endpoint.url, sizeof endpoint.url, "%s", fake->url);
    endpoint.secrets[0].len = ENDPOINT_SECRET_BYTES;
    publish(self, directory_entry_of_endpoint(&endpoint));
}

static void change_rules(struct fake_endpoint *endpoint)
{
    if (endpoint->replaced_count < FAKE_REPLACED_MAX)
        endpoint->replaced[endpoint->replaced_count] = endpoint->policy.rules;
    if (endpoint->replaced_count <= FAKE_REPLACED_MAX) /* one more: any rules are possible */
        endpoint->replaced_count++;
    fake_policy_change_rules(&endpoint->policy, endpoint->name);
    tally(TALLY_RULES_CHANGED);
}

static void apply(struct fake_endpoint *endpoint, enum fake_change change)
{
    if (change == FAKE_CHANGE_RULES)
        change_rules(endpoint);
    else if (change == FAKE_ENABLE || change == FAKE_DISABLE)
        endpoint->enabled = change == FAKE_ENABLE;
    else
        endpoint->is_there = change == FAKE_BRING_BACK;
    endpoint->opened |= fake_endpoint_is_open(endpoint);
    endpoint->changes++;
    model_flow_endpoint_changed(endpoint->id);
    tally(TALLY_ENDPOINT_CHANGES);
    trace(
        "endpoint %s: there %d, enabled %d", endpoint->name, endpoint->is_there, endpoint->enabled);
}

static void apply_and_publish(
    struct accounts *self, struct fake_endpoint *endpoint, enum fake_change change)
{
    apply(endpoint, change);
    if (change == FAKE_TAKE_AWAY)
        directory_withdraw_endpoint(self->directory, endpoint->id);
    else if (endpoint->is_there)
        publish_endpoint(self, endpoint);
    publish_account(self, endpoint->account);
    self->on_changed(endpoint->id, version);
}

/* The coroutine. */

static void run(void *context)
{
    struct accounts *self = context;
    while (!self->stopping) {
        mailbox_wait(&self->mailbox, -1);
        mailbox_work(&self->mailbox);
    }
}

static void on_stop(struct mail *mail, void *receiver)
{
    (void)mail;
    ((struct accounts *)receiver)->stopping = true;
}

struct accounts *fake_accounts_open(
    void (*on_changed)(uint64_t endpoint, int64_t version), void (*on_order)(void))
{
    static const struct hash_seed seed = {{7}};
    struct accounts *self = calloc(1, sizeof *self);
    assert(self);
    self->on_changed = on_changed;
    self->on_order = on_order;
    enum err failed = directory_new(&seed, &self->directory);
    if (!failed)
        failed = mailbox_init(&self->mailbox, self);
    for (unsigned i = 0; i < FAKE_ENDPOINTS && !failed; i++) {
        struct fake_endpoint *endpoint = &fake_endpoints[i];
        endpoint->opened_before |= endpoint->opened;
        endpoint->opened = fake_endpoint_is_open(endpoint);
        if (endpoint->is_there)
            publish_endpoint(self, endpoint);
    }
    for (unsigned i = 0; i < FAKE_ACCOUNTS && !failed; i++)
        publish_account(self, i);
    if (!failed)
        fake_switches_publish(self->directory);
    if (!failed)
        failed = thread_start(&self->thread, "accounts", run, self);
    fail_unless(!failed, BROKEN_SIM, "no directory: %s", err_name(failed));
    return self;
}

void fake_accounts_close(struct accounts *self)
{
    self->stop.on_receive = on_stop;
    mailbox_post(&self->mailbox, &self->stop);
    thread_join(&self->thread);
    mailbox_done(&self->mailbox);
    directory_free(self->directory);
    free(self);
}

static void on_order(struct mail *mail, void *receiver)
{
    struct change_order *order = CONTAINER_OF(mail, struct change_order, mail);
    apply_and_publish(receiver, order->endpoint, order->change);
    free(order);
}

void fake_accounts_change(
    struct accounts *accounts, struct fake_endpoint *endpoint, enum fake_change change)
{
    if (!accounts) {
        apply(endpoint, change);
        return;
    }
    struct change_order *order = malloc(sizeof *order);
    assert(order);
    *order =
        (struct change_order){.mail.on_receive = on_order, .endpoint = endpoint, .change = change};
    mailbox_post(&accounts->mailbox, &order->mail);
}

static void on_switch_order(struct mail *mail, void *receiver)
{
    struct switch_order *order = CONTAINER_OF(mail, struct switch_order, mail);
    struct accounts *self = receiver;
    order->do_it(self->directory, order->number, order->off);
    free(order);
    self->on_order();
}

void fake_accounts_order(struct accounts *accounts,
    void (*do_it)(struct directory *directory, unsigned number, bool off), unsigned number,
    bool off)
{
    struct switch_order *order = malloc(sizeof *order);
    assert(order);
    *order = (struct switch_order){
        .mail.on_receive = on_switch_order, .do_it = do_it, .number = number, .off = off};
    mailbox_post(&accounts->mailbox, &order->mail);
}

/* accounts.h: the part that delivery needs. */

const struct directory *accounts_directory(const struct accounts *accounts)
{
    return accounts->directory;
}

static void on_request(struct mail *mail, void *receiver)
{
    struct accounts *self = receiver;
    struct accounts_request *request = CONTAINER_OF(mail, struct accounts_request, base.mail);
    assert(request->base.kind == ACCOUNTS_CHANGE_ENDPOINT &&
           request->changes == ENDPOINT_CHANGE_ENABLED);
    struct fake_endpoint *endpoint =
        (struct fake_endpoint *)fake_endpoint_of_id(request->endpoint_id);
    request->base.result = endpoint && endpoint->is_there ? OK : ERR_NOT_FOUND;
    if (request->base.result == OK)
        apply_and_publish(self, endpoint, request->endpoint.enabled ? FAKE_ENABLE : FAKE_DISABLE);
    request_answer(&request->base, request->base.result);
}

void accounts_submit(struct accounts *accounts, struct accounts_request *request)
{
    request_submit(&request->base, &accounts->mailbox, on_request);
}
