/* SPDX-License-Identifier: Apache-2.0 */
/* Partners' posts. There are few keys, so that duplicates and conflicts are frequent. An amount has
 * several spellings. In rabbitmq mode most posts go through the broker, published by this gateway
 * or by another one. */
#include "base/clock.h"
#include "base/crypto.h"
#include "driver_internal.h"
#include "fake_accounts.h"
#include "fake_broker.h"
#include "publication.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BURST_MAX 4
#define KEYS 7
#define LARGE_BODY_BYTES 60000
#define PUBLICATIONS_AT_ONCE_MAX 12

static const struct {
    const char *name;
    enum event_class class;
    bool guarded;
} types[] = {
    {"purchase", CLASS_CRITICAL, false},
    {"lead", CLASS_CRITICAL, false},
    {"payout", CLASS_CRITICAL, true},
    {"note", CLASS_IMPORTANT, false},
    {"notification", CLASS_OPTIONAL, false},
};
#define TYPES (sizeof types / sizeof types[0])
#define TYPE_PAYOUT 2

/* A row holds spellings of one amount. Most posts of a key use the key's own amount. */
static const char *const amounts[][3] = {
    {"1.10", "1.1", "1.100000000"},
    {"25", "25.0", "25.00"},
    {"0.000000001", "0.000000001", "0.000000001"},
    {"-5.50", "-5.5", "-5.500"},
    {"999999999999999999.999999999", "999999999999999999.999999999",
        "999999999999999999.999999999"},
    {"0", "0.00", "-0"},
    {"129.90", "129.9", "129.900"},
    {NULL, NULL, NULL},
};
#define AMOUNTS (sizeof amounts / sizeof amounts[0])

static struct event_id_generator ids;
static bool large_bodies, mostly_guarded;
/* The broker may deliver an event again after its history has expired. Then only the dedupe store
 * can detect it, so each event has a key, and there are no conflicts. */
static bool dedupe_must_know;
static unsigned posted;

void partner_begin(bool history_expires)
{
    dedupe_must_know = history_expires && fake_broker_partitions() > 0;
    mostly_guarded = false;
    large_bodies = sim_chance(STREAM_DRIVER, 120);
    posted = 0;
}

void partner_prefer_guarded(bool prefer)
{
    mostly_guarded = prefer;
}

void partner_meet_new_gateway(void)
{
    ids = (struct event_id_generator){0};
}

bool partner_can_post(void)
{
    bool somebody_takes_it = world_state() == WORLD_UP || fake_broker_partitions() > 0;
    return somebody_takes_it && publications_count() + BURST_MAX < PUBLICATIONS_AT_ONCE_MAX &&
           model_posts_count() + BURST_MAX < MODEL_POSTS_MAX;
}

static size_t make_body(const struct event_parts *parts, char ret_body[LARGE_BODY_BYTES])
{
    int len = snprintf(ret_body, 256, "{\"type\":\"%s\",\"account\":\"%s\",\"number\":%u",
        parts->type.data, parts->account.data, posted++);
    if (parts->amount.len)
        len += snprintf(ret_body + len, 128, ",\"amount\":\"%s\",\"currency\":\"%s\"",
            parts->amount.data, parts->currency.data);
    len += snprintf(ret_body + len, 32, ",\"filling\":\"");
    size_t filling = sim_below(STREAM_DRIVER, large_bodies ? LARGE_BODY_BYTES - 512 : 200);
    memset(ret_body + len, 'x', filling);
    memcpy(ret_body + len + filling, "\"}", 2);
    return (size_t)len + filling + 2;
}

/* Posts to the journal directly, or begins a publication to the broker. */
static void hand_in(
    const struct event_parts *parts, struct model_post_parts *model_parts, unsigned partition)
{
    bool is_up = world_state() == WORLD_UP;
    if (fake_broker_partitions() == 0 ||
        (is_up && (!fake_broker_is_up() || sim_chance(STREAM_DRIVER, 100)))) {
        bool taken = world_post(parts, model_parts, model_parts->guarded ? 100 : 90);
        tally(taken ? TALLY_POSTED : TALLY_OVERLOADED);
        return;
    }
    model_parts->misrouted = fake_broker_partitions() > 1 && sim_chance(STREAM_DRIVER, 15);
    if (model_parts->misrouted)
        partition = (partition + 1) % fake_broker_partitions();
    bool elsewhere = model_parts->misrouted || !is_up || sim_chance(STREAM_DRIVER, 150);
    unsigned times = !model_parts->misrouted && sim_chance(STREAM_DRIVER, 80) ? 2 : 1;
    publication_begin(parts, model_parts, partition, elsewhere, times);
    tally(TALLY_POSTED);
}

static void post_one(void)
{
    static char body[LARGE_BODY_BYTES];
    unsigned type = mostly_guarded && sim_chance(STREAM_CLIENTS, 900)
                        ? TYPE_PAYOUT
                        : sim_below(STREAM_DRIVER, TYPES),
             account = sim_below(STREAM_DRIVER, FAKE_ACCOUNTS);
    bool has_key =
        types[type].class == CLASS_CRITICAL || dedupe_must_know || sim_chance(STREAM_DRIVER, 500);
    unsigned key_number = sim_below(STREAM_DRIVER, KEYS);
    /* Sometimes a key that no other post uses. */
    bool is_new_key = sim_chance(STREAM_DRIVER, 400);
    char key[32];
    snprintf(key, sizeof key, is_new_key ? "new-%u" : "k-%u", is_new_key ? posted : key_number);
    bool is_same_money = dedupe_must_know || sim_chance(STREAM_DRIVER, 850);
    unsigned amount =
        is_same_money ? (key_number + type) % AMOUNTS : sim_below(STREAM_DRIVER, AMOUNTS);
    const char *amount_text = amounts[amount][sim_below(STREAM_DRIVER, 3)];
    const char *currency = dedupe_must_know || sim_chance(STREAM_DRIVER, 950) ? "EUR" : "USD";

    struct model_post_parts model_parts = {
        .scope = MODEL_NO_SCOPE,
        .account = account,
        .class = types[type].class,
        .guarded = types[type].guarded,
        .accepted_us = clock_wall_us(),
        .amount = amount_text,
        .currency = amount_text ? currency : NULL,
    };
    if (has_key && !is_new_key)
        model_parts.scope = (account * (unsigned)TYPES + type) * KEYS + key_number;
    model_parts.endpoints_count = fake_account_endpoints(account, model_parts.endpoints);
    struct event_parts parts = {
        .accepted_us = model_parts.accepted_us,
        .partner = SLICE_LITERAL(FAKE_PARTNER),
        .account = slice_from_string(fake_account_names[account]),
        .type = slice_from_string(types[type].name),
        .class = types[type].class,
        .guarded = types[type].guarded,
    };
    if (has_key)
        parts.key = slice_from_string(key);
    if (amount_text) {
        parts.amount = slice_from_string(amount_text);
        parts.currency = slice_from_string(currency);
    }
    parts.body = model_parts.body = slice_of(body, make_body(&parts, body));
    unsigned char random[8];
    crypto_random(random, sizeof random);
    unsigned partitions = fake_broker_partitions();
    unsigned partition =
        partitions ? (unsigned)(hash_siphash(&world_seed, parts.account) % partitions) : 0;
    event_id_make(&ids, parts.accepted_us, partition, random, &parts.id);
    model_parts.id = parts.id;
    trace("p%u: %s for %s, key %s, %s %s", model_posts_count(), types[type].name,
        fake_account_names[account], has_key ? key : "none", amount_text ? amount_text : "",
        amount_text ? currency : "");
    hand_in(&parts, &model_parts, partition);
}

void partner_post(void)
{
    for (unsigned i = 0, count = 1 + sim_below(STREAM_DRIVER, BURST_MAX); i < count; i++)
        post_one();
}
