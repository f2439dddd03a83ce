/* SPDX-License-Identifier: Apache-2.0 */
/* A real ingress on a free port. Its journal is a fake: the test decides what it answers, and
 * when. */
#ifndef PENSTOCK_TESTS_UNIT_INGRESS_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_INGRESS_FIXTURE_H

#include "accounts/accounts.h"
#include "base/clock.h"
#include "ingress/ingress.h"
#include "support/wait_until.h"

#include <criterion/criterion.h>
#include <time.h>

#define TEST_KEY "pk_test"
#define TEST_SHARDS 2
#define TEST_PARTITIONS 16

extern struct ingress *ingress;
extern struct byte_budget budgets[TEST_SHARDS];
extern const struct hash_seed seed;
extern struct partner_limits *partner_limits; /* without limits */
extern struct rejections *rejections;         /* what was rejected */

/* Partner `shop` (key TEST_KEY) may post for `acc_1`, which has one endpoint. `acc_2` belongs to
 * another partner. */
void fixture_begin(void);
/* The same in rabbitmq mode, with a fake broker (fake_broker.h). `intake_partner` "": no intake. */
void fixture_begin_broker(const char *intake_partner);
void fixture_end(void);
void ingress_call(void (*run)(void)); /* runs it on the ingress thread and waits for it */

/* Changes `shop` and `acc_1`. `types` are separated by spaces. */
void shop_set_key_pointer(const char *pointer);
void shop_set_enabled(bool enabled);
/* Of all accounts. */
void set_switch(enum switch_kind kind, bool off);
void shop_add_secret(const struct secret *secret);
void shop_change_rules(const char *json);
/* Adds a key; `wanted` has its end and its scope. */
void shop_add_key(const char *key, const struct credential *wanted);
int64_t key_last_use(const char *key);
uint64_t account_add_endpoint(const char *name, const char *types);
void account_remove_endpoint(uint64_t endpoint);

/* The requests to the fake journal of any shard, in order. */
unsigned journal_count(void);
struct journal_append *journal_request(unsigned index);
unsigned journal_shard(unsigned index);
/* Answers the index-th request. `first` is the first event's id for a duplicate or a conflict. */
void journal_answer(unsigned index, enum err result, const struct event_id *first);

struct answer {
    int status;
    char head[2048], body[512 * 1024];
};

int client_connect(void);
/* Sends a POST /v1/events with more header lines, each ending in \r\n. */
void client_post(int fd, const char *headers, const char *body);
void client_post_to(int fd, const char *path, const char *headers, struct slice body);
void client_send(int fd, const char *text);
void client_receive(int fd, struct answer *ret_answer);
bool client_has_answer(int fd); /* without waiting */

#define JSON_AND_KEY "Content-Type: application/json\r\nAuthorization: Bearer " TEST_KEY "\r\n"
#define PURCHASE(id) \
    "{\"id\":\"" id  \
    "\",\"type\":\"purchase\",\"account\":\"acc_1\",\"amount\":\"1.50\",\"currency\":\"EUR\"}"

#endif
