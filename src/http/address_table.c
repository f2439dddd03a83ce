/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each shard has its places, an index of chains into them, and lists of places by number:
 *
 *   free --> open connections (no list) --last one closes--> known, if it has authenticated
 *     ^             ^                          '-----------> strangers
 *     |             '----a connection----------known, strangers
 *     '--replaced: the oldest stranger, else the oldest known one if its 24 hours have passed
 *
 * Place 0 of a shard is shared by the addresses that find no place of their own.
 */
#include "http/address_table.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/hash.h"
#include "base/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define SHARDS 64
#define SHARD_PLACES (ADDRESS_PLACES / SHARDS)
#define CHAINS (2 * SHARD_PLACES)
#define KNOWN_MAX (SHARD_PLACES / 2)

#define BURST_S 5       /* of the rates: what a page of connections or a retry loop needs at once */
#define KNOWN_FACTOR 10 /* many may share a known address */
#define FAILURES_LEAK_S 100
#define KNOWN_US (24 * 3600 * US_PER_SECOND) /* partners that post once a day remain known */
#define REFUSED_US (60 * US_PER_SECOND)      /* long for a program, short for a person */
#define TRY_US US_PER_SECOND /* between two connections that are accepted from a refused address */

#define NONE 0 /* ends a chain or a list */

enum count { COUNT_CONNECTIONS, COUNT_REQUESTS, COUNT_FAILURES, COUNTS };
enum list_of { LIST_NONE, LIST_STRANGERS, LIST_KNOWN, LISTS };

struct place {
    struct in6_addr address;
    int64_t leaked_us;        /* when the counts leaked last */
    int64_t authenticated_us; /* the last time; INT64_MIN: never */
    int64_t refused_until_us, next_try_us;
    float counts[COUNTS];
    uint32_t open;
    uint16_t chain_next, prev, next; /* places of this shard */
    uint8_t list;                    /* enum list_of */
};

struct place_list {
    uint16_t first, last;
};

struct shard {
    pthread_mutex_t lock;
    /* guarded by the lock */
    struct place *places; /* SHARD_PLACES + 1 */
    uint16_t chains[CHAINS];
    uint16_t used; /* places that were ever used, from 1 */
    struct place_list lists[LISTS];
    unsigned known_count; /* in their list */
};

struct address_table {
    struct hash_seed seed;
    pthread_rwlock_t limits_lock;
    struct address_limits limits; /* guarded by limits_lock */
    struct shard shards[SHARDS];
};

_Static_assert(SHARD_PLACES < UINT16_MAX, "numbers of places fit");

struct address_table *address_table_new(const struct address_limits *limits)
{
    struct address_table *table;
    MEMORY_NEW(table);
    crypto_random(table->seed.bytes, sizeof table->seed.bytes);
    table->limits = *limits;
    pthread_rwlock_init(&table->limits_lock, NULL);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &table->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->places = memory_new_array(SHARD_PLACES + 1, sizeof *shard->places);
        shard->places[0].authenticated_us = INT64_MIN;
    }
    return table;
}

void address_table_free(struct address_table *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < SHARDS; i++) {
        free(table->shards[i].places);
        pthread_mutex_destroy(&table->shards[i].lock);
    }
    pthread_rwlock_destroy(&table->limits_lock);
    free(table);
}

void address_table_set_limits(struct address_table *table, const struct address_limits *limits)
{
    pthread_rwlock_wrlock(&table->limits_lock);
    table->limits = *limits;
    pthread_rwlock_unlock(&table->limits_lock);
}

/* Reads the numbers. Returns false if the address is exempt; NULL: it is not. */
static bool read_limits(
    struct address_table *table, const struct in6_addr *address, struct address_limits *ret_limits)
{
    bool exempt = false;
    pthread_rwlock_rdlock(&table->limits_lock);
    const struct address_limits *limits = &table->limits;
    for (unsigned i = 0; address && !exempt && i < limits->exempt_count; i++)
        exempt = network_contains(&limits->exempt[i], address->s6_addr);
    ret_limits->connections_max = limits->connections_max;
    ret_limits->connections_per_s = limits->connections_per_s;
    ret_limits->requests_per_s = limits->requests_per_s;
    ret_limits->failures_max = limits->failures_max;
    pthread_rwlock_unlock(&table->limits_lock);
    return !exempt;
}

/* Lists and chains. The shard is locked. */

static void list_take(struct shard *shard, uint16_t number)
{
    struct place *places = shard->places, *place = &places[number];
    if (place->list == LIST_NONE)
        return;
    struct place_list *list = &shard->lists[place->list];
    *(place->prev ? &places[place->prev].next : &list->first) = place->next;
    *(place->next ? &places[place->next].prev : &list->last) = place->prev;
    shard->known_count -= place->list == LIST_KNOWN;
    place->list = LIST_NONE;
}

static void list_append(struct shard *shard, uint16_t number, enum list_of which)
{
    struct place *places = shard->places;
    struct place_list *list = &shard->lists[which];
    places[number].prev = list->last;
    places[number].next = NONE;
    *(list->last ? &places[list->last].next : &list->first) = number;
    list->last = number;
    places[number].list = (uint8_t)which;
    shard->known_count += which == LIST_KNOWN;
}

static bool is_known(const struct place *place, int64_t now_us)
{
    return place->authenticated_us != INT64_MIN && now_us - place->authenticated_us < KNOWN_US;
}

static bool is_shared(const struct shard *shard, const struct place *place)
{
    return place == shard->places;
}

/* The last connection was closed: the place may be replaced. */
static void rest(struct shard *shard, uint16_t number, int64_t now_us)
{
    bool known = is_known(&shard->places[number], now_us);
    list_append(shard, number, known ? LIST_KNOWN : LIST_STRANGERS);
    if (shard->known_count <= KNOWN_MAX)
        return;
    uint16_t oldest = shard->lists[LIST_KNOWN].first;
    list_take(shard, oldest);
    list_append(shard, oldest, LIST_STRANGERS);
}

static void chain_remove(struct shard *shard, uint16_t *chain, uint16_t number)
{
    struct place *places = shard->places;
    uint16_t *at = chain;
    while (*at != number)
        at = &places[*at].chain_next;
    *at = places[number].chain_next;
}

static uint64_t hash_of(const struct address_table *table, const struct in6_addr *address)
{
    return hash_siphash(&table->seed, slice_of(address->s6_addr, sizeof address->s6_addr));
}

static uint16_t *chain_of(struct shard *shard, uint64_t hash)
{
    return &shard->chains[hash / SHARDS % CHAINS];
}

/* Returns a place for a new address, or NONE. */
static uint16_t find_place(const struct address_table *table, struct shard *shard, int64_t now_us)
{
    if (shard->used < SHARD_PLACES)
        return ++shard->used;
    uint16_t number = shard->lists[LIST_STRANGERS].first;
    if (!number) {
        number = shard->lists[LIST_KNOWN].first;
        if (!number || is_known(&shard->places[number], now_us))
            return NONE;
    }
    list_take(shard, number);
    chain_remove(shard, chain_of(shard, hash_of(table, &shard->places[number].address)), number);
    return number;
}

/* Returns the number of the address's place; 0: it shares one. */
static uint16_t find(const struct address_table *table, struct shard *shard, uint64_t hash,
    const struct in6_addr *address, int64_t now_us)
{
    uint16_t *chain = chain_of(shard, hash);
    for (uint16_t at = *chain; at; at = shard->places[at].chain_next)
        if (memcmp(&shard->places[at].address, address, sizeof *address) == 0)
            return at;
    uint16_t number = find_place(table, shard, now_us);
    if (number == NONE)
        return NONE;
    struct place *place = &shard->places[number];
    *place = (struct place){.address = *address,
        .leaked_us = now_us,
        .authenticated_us = INT64_MIN,
        .chain_next = *chain};
    *chain = number;
    list_append(shard, number, LIST_STRANGERS);
    return number;
}

/* Counts */

static void leak(struct place *place, const struct address_limits *limits, int64_t now_us)
{
    float seconds = (float)(now_us - place->leaked_us) / (float)US_PER_SECOND;
    const float rates[COUNTS] = {[COUNT_CONNECTIONS] = (float)limits->connections_per_s,
        [COUNT_REQUESTS] = (float)limits->requests_per_s,
        [COUNT_FAILURES] = (float)limits->failures_max / FAILURES_LEAK_S};
    if (seconds <= 0) /* the clock of another thread was read later */
        return;
    for (unsigned i = 0; i < COUNTS; i++) {
        float left = place->counts[i] - seconds * rates[i];
        place->counts[i] = left > 0 ? left : 0;
    }
    place->leaked_us = now_us;
}

/* What an address may do compared with one that nobody has authenticated from. */
static float factor_of(const struct shard *shard, const struct place *place, int64_t now_us)
{
    return is_shared(shard, place) || is_known(place, now_us) ? KNOWN_FACTOR : 1;
}

static unsigned wait_s(float too_many, float per_s)
{
    float seconds = too_many / per_s;
    return seconds < 1 ? 1 : (unsigned)seconds + 1;
}

static struct address_answer judge_open(const struct shard *shard, struct place *place,
    const struct address_limits *limits, int64_t now_us)
{
    float factor = factor_of(shard, place, now_us);
    if (now_us < place->refused_until_us) {
        if (now_us < place->next_try_us)
            return (struct address_answer){ADDRESS_CUT, ADDRESS_LIMIT_FAILURES, 0};
        place->next_try_us = now_us + TRY_US;
    }
    if (limits->connections_max && !is_shared(shard, place) &&
        (float)place->open >= factor * (float)limits->connections_max)
        return (struct address_answer){ADDRESS_CUT, ADDRESS_LIMIT_CONNECTIONS, 0};
    float most = factor * BURST_S * (float)limits->connections_per_s;
    if (limits->connections_per_s && place->counts[COUNT_CONNECTIONS] + 1 > most)
        return (struct address_answer){ADDRESS_CUT, ADDRESS_LIMIT_CONNECTION_RATE, 0};
    place->counts[COUNT_CONNECTIONS]++;
    return (struct address_answer){.verdict = ADDRESS_OK};
}

/* Adds one, but never more than is needed to stay at `most`: so it leaks in bounded time. */
static float count(struct place *place, enum count which, float most)
{
    if (place->counts[which] <= most)
        place->counts[which]++;
    return place->counts[which];
}

static struct address_answer judge_requests(
    struct place *place, const struct address_limits *limits, float factor)
{
    if (!limits->requests_per_s)
        return (struct address_answer){.verdict = ADDRESS_OK};
    float per_s = (float)limits->requests_per_s, good = factor * BURST_S * per_s;
    float requests = count(place, COUNT_REQUESTS, 2 * good);
    return (struct address_answer){.verdict = requests <= good       ? ADDRESS_OK
                                              : requests <= 2 * good ? ADDRESS_BUSY
                                                                     : ADDRESS_CUT,
        .limit = ADDRESS_LIMIT_REQUESTS,
        .retry_after_s = wait_s(requests - good, per_s)};
}

static struct address_answer judge_failures(
    struct place *place, const struct address_limits *limits, float factor)
{
    if (!limits->failures_max)
        return (struct address_answer){.verdict = ADDRESS_OK};
    float most = factor * (float)limits->failures_max;
    float failures = count(place, COUNT_FAILURES, most);
    return (struct address_answer){.verdict = failures <= most / 10  ? ADDRESS_OK
                                              : failures <= most / 2 ? ADDRESS_SLOW
                                              : failures <= most     ? ADDRESS_BUSY
                                                                     : ADDRESS_CUT,
        .limit = ADDRESS_LIMIT_FAILURES,
        .retry_after_s =
            wait_s(failures - most / 2, (float)limits->failures_max / FAILURES_LEAK_S)};
}

/* Entry points. A reference is the number of the shard and of the place, plus one. */

static struct shard *lock_shard(
    struct address_table *table, struct address_ref ref, struct place **ret_place)
{
    uint32_t at = ref.place - 1;
    struct shard *shard = &table->shards[at / (SHARD_PLACES + 1)];
    pthread_mutex_lock(&shard->lock);
    *ret_place = &shard->places[at % (SHARD_PLACES + 1)];
    return shard;
}

/* Returns the place of an address, or the shared one, and locks its shard. */
static struct shard *lock_address(struct address_table *table, const struct in6_addr *address,
    int64_t now_us, struct place **ret_place)
{
    struct in6_addr counted = *address;
    if (!IN6_IS_ADDR_V4MAPPED(address))
        memset(counted.s6_addr + 8, 0, 8);
    uint64_t hash = hash_of(table, &counted);
    struct shard *shard = &table->shards[hash % SHARDS];
    pthread_mutex_lock(&shard->lock);
    *ret_place = &shard->places[find(table, shard, hash, &counted, now_us)];
    return shard;
}

struct address_answer address_table_open(struct address_table *table,
    const struct in6_addr *address, int64_t now_us, struct address_ref *ret_ref)
{
    struct address_limits limits;
    struct place *place;
    *ret_ref = (struct address_ref){0};
    if (!read_limits(table, address, &limits))
        return (struct address_answer){.verdict = ADDRESS_OK};
    struct shard *shard = lock_address(table, address, now_us, &place);
    leak(place, &limits, now_us);
    struct address_answer answer = judge_open(shard, place, &limits, now_us);
    if (answer.verdict == ADDRESS_OK) {
        uint32_t number = (uint32_t)(place - shard->places);
        list_take(shard, (uint16_t)number);
        place->open++;
        ret_ref->place = (uint32_t)(shard - table->shards) * (SHARD_PLACES + 1) + number + 1;
    }
    pthread_mutex_unlock(&shard->lock);
    return answer;
}

void address_table_close(
    struct address_table *table, struct address_ref ref, bool has_authenticated, int64_t now_us)
{
    struct place *place;
    if (!ref.place)
        return;
    struct shard *shard = lock_shard(table, ref, &place);
    assert(place->open > 0);
    if (has_authenticated && !is_shared(shard, place))
        place->authenticated_us = now_us;
    if (--place->open == 0 && !is_shared(shard, place))
        rest(shard, (uint16_t)(place - shard->places), now_us);
    pthread_mutex_unlock(&shard->lock);
}

/* A place without a connection moves to the known ones. The shard is locked. */
static void set_authenticated(struct shard *shard, struct place *place, int64_t now_us)
{
    if (is_shared(shard, place))
        return;
    uint16_t number = (uint16_t)(place - shard->places);
    place->authenticated_us = now_us;
    place->refused_until_us = 0;
    if (place->list == LIST_NONE)
        return;
    list_take(shard, number);
    rest(shard, number, now_us);
}

void address_table_authenticated(
    struct address_table *table, struct address_ref ref, int64_t now_us)
{
    struct place *place;
    if (!ref.place)
        return;
    struct shard *shard = lock_shard(table, ref, &place);
    set_authenticated(shard, place, now_us);
    pthread_mutex_unlock(&shard->lock);
}

void address_table_authenticated_at(
    struct address_table *table, const struct in6_addr *address, int64_t now_us)
{
    struct address_limits limits;
    struct place *place;
    if (!read_limits(table, address, &limits))
        return;
    struct shard *shard = lock_address(table, address, now_us, &place);
    set_authenticated(shard, place, now_us);
    pthread_mutex_unlock(&shard->lock);
}

/* The shard is locked. */
static struct address_answer judge_refused(const struct shard *shard, struct place *place,
    const struct address_limits *limits, bool has_failed, int64_t now_us)
{
    leak(place, limits, now_us);
    float factor = factor_of(shard, place, now_us);
    struct address_answer answer = judge_requests(place, limits, factor);
    if (has_failed) {
        struct address_answer of_failures = judge_failures(place, limits, factor);
        if (of_failures.verdict > answer.verdict)
            answer = of_failures;
    }
    bool may_be_refused = !is_shared(shard, place) && !is_known(place, now_us);
    if (may_be_refused && now_us < place->refused_until_us)
        answer.verdict = ADDRESS_CUT;
    else if (may_be_refused && answer.verdict == ADDRESS_CUT)
        place->refused_until_us = now_us + REFUSED_US;
    return answer;
}

struct address_answer address_table_refused(
    struct address_table *table, struct address_ref ref, bool has_failed, int64_t now_us)
{
    struct address_limits limits;
    struct place *place;
    if (!ref.place)
        return (struct address_answer){.verdict = ADDRESS_OK};
    (void)read_limits(table, NULL, &limits);
    struct shard *shard = lock_shard(table, ref, &place);
    struct address_answer answer = judge_refused(shard, place, &limits, has_failed, now_us);
    pthread_mutex_unlock(&shard->lock);
    return answer;
}

struct address_answer address_table_refused_at(
    struct address_table *table, const struct in6_addr *address, bool has_failed, int64_t now_us)
{
    struct address_limits limits;
    struct place *place;
    if (!read_limits(table, address, &limits))
        return (struct address_answer){.verdict = ADDRESS_OK};
    struct shard *shard = lock_address(table, address, now_us, &place);
    struct address_answer answer = judge_refused(shard, place, &limits, has_failed, now_us);
    pthread_mutex_unlock(&shard->lock);
    return answer;
}

struct address_counts address_table_count(struct address_table *table)
{
    struct address_counts counts = {0};
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &table->shards[i];
        pthread_mutex_lock(&shard->lock);
        counts.used += shard->used;
        counts.known += shard->known_count;
        for (unsigned place = 0; place <= shard->used; place++)
            counts.open += shard->places[place].open;
        pthread_mutex_unlock(&shard->lock);
    }
    return counts;
}
