/* SPDX-License-Identifier: Apache-2.0 */
#include "load/mix.h"

#include "common/quantity.h"
#include "common/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CENT_MICROS 10000
#define AMOUNT_CENTS_MAX 100000 /* 1000.00 */
#define AT_ONCE_LAG_MAX 4
#define LOOK_BACK_MAX 64

static const char *const currencies[] = {"EUR", "EUR", "EUR", "USD", "GBP"};

/* Draws from one counter, with independent numbers for each purpose. */
static uint64_t draw(const struct mix *mix, uint64_t number, uint64_t purpose)
{
    return random_at(mix->seed ^ purpose << 56, number);
}

enum purpose {
    FOR_KIND = 1,
    FOR_LAG,
    FOR_ACCOUNT,
    FOR_TYPE,
    FOR_AMOUNT,
    FOR_CURRENCY,
    FOR_SIZE,
    FOR_FAULT
};

static double to_share(uint64_t drawn)
{
    return (double)(drawn >> 11) / 9007199254740992.0; /* 2^53 */
}

void mix_init(struct mix *mix)
{
    *mix = (struct mix){.run = "run",
        .seed = 1,
        .duplicate_lag_max = 1000,
        .body_bytes_min = 400,
        .body_bytes_max = 540};
}

void mix_done(struct mix *mix)
{
    free(mix->accounts);
    mix->accounts = NULL;
}

static bool add_account(struct mix *mix, const char *name, size_t len)
{
    if (len == 0 || len >= MIX_NAME_BYTES || mix->accounts_count == MIX_ACCOUNTS_MAX)
        return false;
    snprintf(mix->accounts[mix->accounts_count++], MIX_NAME_BYTES, "%.*s", (int)len, name);
    return true;
}

static bool add_accounts(struct mix *mix, const char *pattern, const char *place, const char *times)
{
    int64_t count;
    if (!quantity_parse_count(times + 1, &count) || count == 0)
        return false;
    for (int64_t i = 0; i < count; i++) {
        char name[MIX_NAME_BYTES + 32];
        int len = snprintf(name, sizeof name, "%.*s%lld%.*s", (int)(place - pattern), pattern,
            (long long)i, (int)(times - place - 2), place + 2);
        if (len < 0 || len >= (int)sizeof name || !add_account(mix, name, (size_t)len))
            return false;
    }
    return true;
}

bool mix_set_accounts(struct mix *mix, const char *text)
{
    if (!mix->accounts)
        mix->accounts = calloc(MIX_ACCOUNTS_MAX, MIX_NAME_BYTES);
    if (!mix->accounts)
        return false;
    mix->accounts_count = 0;
    const char *place = strstr(text, "%d"), *times = strchr(text, '*');
    if (place && times && place < times)
        return add_accounts(mix, text, place, times);
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        if (!add_account(mix, at, len))
            return false;
        at += len;
        if (*at == '\0')
            return true;
    }
}

bool mix_set_types(struct mix *mix, const char *text)
{
    mix->types_count = mix->types_weight = 0;
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        const char *equals = memchr(at, '=', len);
        size_t name_len = equals ? (size_t)(equals - at) : len;
        int weight = equals ? atoi(equals + 1) : 1;
        if (mix->types_count == MIX_TYPES_MAX || name_len == 0 || name_len >= MIX_NAME_BYTES ||
            weight < 1)
            return false;
        __auto_type type = &mix->types[mix->types_count++];
        snprintf(type->name, sizeof type->name, "%.*s", (int)name_len, at);
        type->weight = (unsigned)weight;
        mix->types_weight += type->weight;
        type->guarded = strcmp(type->name, "payout") == 0;
        type->money =
            type->guarded || strcmp(type->name, "purchase") == 0 || strcmp(type->name, "lead") == 0;
        at += len;
        if (*at == '\0')
            return true;
    }
}

static enum load_kind kind_of(const struct mix *mix, uint64_t number)
{
    double share = to_share(draw(mix, number, FOR_KIND));
    if ((share -= mix->duplicates) < 0)
        return LOAD_DUPLICATE;
    if ((share -= mix->conflicts) < 0)
        return LOAD_CONFLICT;
    return share - mix->invalid < 0 ? LOAD_INVALID : LOAD_FRESH;
}

/* Chooses an earlier fresh event: every second time a recent one. False when there is none yet. */
static bool find_original(const struct mix *mix, uint64_t number, uint64_t *ret_original)
{
    uint64_t drawn = draw(mix, number, FOR_LAG);
    uint64_t lag_max = drawn & 1 ? AT_ONCE_LAG_MAX : (uint64_t)mix->duplicate_lag_max;
    uint64_t lag = 1 + (drawn >> 1) % lag_max;
    for (unsigned i = 0; i < LOOK_BACK_MAX && lag <= number; i++, lag++) {
        if (kind_of(mix, number - lag) == LOAD_FRESH) {
            *ret_original = number - lag;
            return true;
        }
    }
    return false;
}

static bool type_has_money(const struct mix *mix, uint64_t number, unsigned *ret_type)
{
    unsigned at = (unsigned)(draw(mix, number, FOR_TYPE) % mix->types_weight), type = 0;
    while (at >= mix->types[type].weight)
        at -= mix->types[type++].weight;
    *ret_type = type;
    return mix->types[type].money;
}

void mix_event(const struct mix *mix, uint64_t number, struct mix_event *ret_event)
{
    struct mix_event event = {.kind = kind_of(mix, number), .original = number, .currency = ""};
    bool repeats = event.kind == LOAD_DUPLICATE || event.kind == LOAD_CONFLICT;
    if (repeats && !find_original(mix, number, &event.original))
        event.kind = LOAD_FRESH;
    event.account = mix->first_account + (unsigned)(draw(mix, event.original, FOR_ACCOUNT) %
                                                    (mix->accounts_count - mix->first_account));
    bool money = type_has_money(mix, event.original, &event.type);
    event.guarded = mix->types[event.type].guarded;
    if (money) {
        int64_t cents = 1 + (int64_t)(draw(mix, event.original, FOR_AMOUNT) % AMOUNT_CENTS_MAX);
        if (event.kind == LOAD_CONFLICT)
            cents += AMOUNT_CENTS_MAX;
        event.amount_micros = cents * CENT_MICROS;
        event.currency = currencies[draw(mix, event.original, FOR_CURRENCY) %
                                    (sizeof currencies / sizeof currencies[0])];
    } else if (event.kind == LOAD_CONFLICT) {
        event.kind = LOAD_DUPLICATE; /* without an amount there is nothing to conflict about */
    }
    *ret_event = event;
}

/* The faults of invalid events. The gateway rejects each one for another reason. */
enum fault {
    FAULT_NO_TYPE,
    FAULT_EXPONENT,
    FAULT_FOREIGN_ACCOUNT,
    FAULT_NO_CURRENCY,
    FAULT_TRUNCATED,
    FAULTS
};

static size_t begin_body(
    const struct mix *mix, const struct mix_event *event, enum fault fault, char *body)
{
    size_t len = (size_t)snprintf(body, MIX_BODY_BYTES_MAX, "{\"id\":\"%s-%llu\"", mix->run,
        (unsigned long long)event->original);
    if (fault != FAULT_NO_TYPE)
        len += (size_t)snprintf(
            body + len, MIX_BODY_BYTES_MAX - len, ",\"type\":\"%s\"", mix->types[event->type].name);
    len += (size_t)snprintf(body + len, MIX_BODY_BYTES_MAX - len, ",\"account\":\"%s%s\"",
        mix->accounts[event->account], fault == FAULT_FOREIGN_ACCOUNT ? "_of_somebody_else" : "");
    if (*event->currency || fault == FAULT_EXPONENT || fault == FAULT_NO_CURRENCY) {
        int64_t cents = event->amount_micros / CENT_MICROS;
        len += (size_t)snprintf(body + len, MIX_BODY_BYTES_MAX - len, ",\"amount\":\"%lld.%02d%s\"",
            (long long)(cents / 100), (int)(cents % 100), fault == FAULT_EXPONENT ? "e3" : "");
        if (fault != FAULT_NO_CURRENCY)
            len += (size_t)snprintf(body + len, MIX_BODY_BYTES_MAX - len, ",\"currency\":\"%s\"",
                *event->currency ? event->currency : "EUR");
    }
    return len;
}

/* Adds eight letters at a time: most of a body is filling, and the generator must not be the
 * bottleneck. */
static size_t add_letters(char *text, size_t len, uint64_t seed)
{
    for (size_t at = 0; at < len; at += sizeof seed) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t letters =
            (seed >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) + UINT64_C(0x6161616161616161);
        memcpy(text + at, &letters, len - at < sizeof letters ? len - at : sizeof letters);
    }
    return len;
}

size_t mix_body_size(const struct mix *mix, const struct mix_event *event)
{
    uint64_t range = (uint64_t)(mix->body_bytes_max - mix->body_bytes_min + 1);
    return (size_t)mix->body_bytes_min + draw(mix, event->original, FOR_SIZE) % range;
}

void mix_fill(const struct mix *mix, const struct mix_event *event, char *ret_text, size_t len)
{
    add_letters(ret_text, len, draw(mix, event->original, FOR_SIZE));
}

size_t mix_body(
    const struct mix *mix, const struct mix_event *event, char ret_body[MIX_BODY_BYTES_MAX])
{
    static const char end[] = "\"}}";
    bool invalid = event->kind == LOAD_INVALID;
    enum fault fault =
        invalid ? (enum fault)(draw(mix, event->original, FOR_FAULT) % FAULTS) : FAULTS;
    size_t len = begin_body(mix, event, fault, ret_body);
    len += (size_t)snprintf(ret_body + len, MIX_BODY_BYTES_MAX - len,
        ",\"occurred_at\":\"2026-01-01T00:00:00Z\",\"data\":{\"note\":\"");
    uint64_t size = draw(mix, event->original, FOR_SIZE);
    size_t wanted = (size_t)mix->body_bytes_min +
                    size % (uint64_t)(mix->body_bytes_max - mix->body_bytes_min + 1);
    len += add_letters(
        ret_body + len, len + sizeof end - 1 < wanted ? wanted - len - (sizeof end - 1) : 0, size);
    memcpy(ret_body + len, end, sizeof end - 1);
    len += sizeof end - 1;
    return fault == FAULT_TRUNCATED ? len - 1 : len;
}
