/* SPDX-License-Identifier: Apache-2.0 */
#include "http/rejections.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/memory.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define SHARDS 16
#define SHARD_PLACES 128 /* of rejections, in each shard */
#define SHARD_PARTNERS 128
#define SAMPLE_EVERY_US (100 * US_PER_MS)
#define SAMPLE_BURST 5

struct kept {
    struct list link; /* in its partner's, or in the free ones */
    enum refusal_reason reason;
    struct rejection rejection;
};

struct rejected_partner {
    struct list link; /* in its shard's */
    char id[NAME_BYTES_MAX + 1];
    struct list kept; /* of struct kept, the oldest first */
    unsigned count;
    struct {
        int64_t free_us;   /* when those that were kept have taken up their time */
        struct kept *last; /* which counts those that are left out; NULL: none is kept */
        unsigned count;
    } of[REFUSAL_COUNT];
};

struct shard {
    pthread_mutex_t lock;
    /* guarded by the lock */
    struct list partners; /* of struct rejected_partner, the last rejected one first */
    unsigned partners_count;
    struct list free; /* of struct kept */
    unsigned used;    /* places that were ever used: the others take no memory */
    struct kept places[SHARD_PLACES];
};

struct rejections {
    /* immutable after rejections_new */
    struct hash_seed seed;
    void (*on_report)(const char *partner, const struct rejection *rejection);

    struct shard shards[SHARDS];
};

/* One rejection. */

/* All is shown to people later, and as JSON: what is not ASCII text becomes a dot. */
static void copy_printable(char *ret_text, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        ret_text[i] = (char)((c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' ? c : '.');
    }
}

void rejection_set_detail(struct rejection *rejection, const char *detail)
{
    size_t len = strnlen(detail, sizeof rejection->detail - 1);
    copy_printable(rejection->detail, detail, len);
    rejection->detail[len] = '\0';
}

void rejection_add_problem(struct rejection *rejection, const char *pointer, const char *detail)
{
    size_t pointer_bytes = strlen(pointer) + 1, detail_bytes = strlen(detail) + 1;
    char *at = rejection->problems + rejection->problems_len;
    if (pointer_bytes + detail_bytes > sizeof rejection->problems - rejection->problems_len)
        return;
    copy_printable(at, pointer, pointer_bytes - 1);
    copy_printable(at + pointer_bytes, detail, detail_bytes - 1);
    at[pointer_bytes - 1] = at[pointer_bytes + detail_bytes - 1] = '\0';
    rejection->problems_len += pointer_bytes + detail_bytes;
}

bool rejection_next_problem(const struct rejection *rejection, size_t *at, const char **ret_pointer,
    const char **ret_detail)
{
    if (*at >= rejection->problems_len)
        return false;
    *ret_pointer = rejection->problems + *at;
    *ret_detail = *ret_pointer + strlen(*ret_pointer) + 1;
    *at = (size_t)(*ret_detail - rejection->problems) + strlen(*ret_detail) + 1;
    return true;
}

static bool is_of_secret(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("+/=_-.", c));
}

/* Replaces what follows each `prefix`. */
static void hide(struct rejection *rejection, const char *prefix)
{
    size_t len = strlen(prefix);
    for (size_t i = 0; i + len <= rejection->excerpt_len; i++) {
        if (strncasecmp(rejection->excerpt + i, prefix, len) != 0)
            continue;
        for (i += len; i < rejection->excerpt_len && is_of_secret(rejection->excerpt[i]); i++)
            rejection->excerpt[i] = '*';
    }
}

void rejection_set_body(struct rejection *rejection, struct slice body)
{
    static const char *const prefixes[] = {"pk_", "whsec_", "bearer "};
    size_t len = body.len < sizeof rejection->excerpt ? body.len : sizeof rejection->excerpt;
    rejection->body_bytes = body.len;
    rejection->excerpt_len = len;
    copy_printable(rejection->excerpt, body.data, len);
    for (size_t i = 0; i < ARRAY_LENGTH(prefixes); i++)
        hide(rejection, prefixes[i]);
}

/* All of them. */

struct rejections *rejections_new(const struct hash_seed *seed,
    void (*on_report)(const char *partner, const struct rejection *rejection))
{
    struct rejections *rejections;
    MEMORY_NEW(rejections);
    rejections->seed = *seed;
    rejections->on_report = on_report;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &rejections->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        list_init(&shard->partners);
        list_init(&shard->free);
    }
    return rejections;
}

/* One of the partner has to leave: the oldest of the reason that has the most, so that a flood does
 * not hide the others. The partner has at least one. */
static void release_one(struct shard *shard, struct rejected_partner *partner)
{
    struct kept *leaves = CONTAINER_OF(partner->kept.next, struct kept, link);
    list_for_each (node, &partner->kept) {
        struct kept *kept = CONTAINER_OF(node, struct kept, link);
        if (partner->of[kept->reason].count > partner->of[leaves->reason].count)
            leaves = kept;
    }
    partner->count--;
    partner->of[leaves->reason].count--;
    if (partner->of[leaves->reason].last == leaves)
        partner->of[leaves->reason].last = NULL;
    list_remove(&leaves->link);
    list_add_tail(&shard->free, &leaves->link);
}

static void remove_partner(struct shard *shard, struct rejected_partner *partner)
{
    while (partner->count > 0)
        release_one(shard, partner);
    list_remove(&partner->link);
    shard->partners_count--;
    free(partner);
}

static struct rejected_partner *last_of(struct shard *shard)
{
    return CONTAINER_OF(shard->partners.prev, struct rejected_partner, link);
}

void rejections_free(struct rejections *rejections)
{
    if (!rejections)
        return;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &rejections->shards[i];
        while (!list_is_empty(&shard->partners))
            remove_partner(shard, last_of(shard));
        pthread_mutex_destroy(&shard->lock);
    }
    free(rejections);
}

static struct shard *shard_of(struct rejections *rejections, const char *partner)
{
    return &rejections
                ->shards[hash_siphash(&rejections->seed, slice_from_string(partner)) % SHARDS];
}

/* NULL: nothing of it was rejected. */
static struct rejected_partner *find(struct shard *shard, const char *id)
{
    list_for_each (node, &shard->partners) {
        struct rejected_partner *partner = CONTAINER_OF(node, struct rejected_partner, link);
        if (strcmp(partner->id, id) == 0)
            return partner;
    }
    return NULL;
}

/* Makes it the last rejected one. */
static struct rejected_partner *find_or_add(struct shard *shard, const char *id)
{
    struct rejected_partner *partner = find(shard, id);
    if (partner) {
        list_remove(&partner->link);
    } else {
        if (shard->partners_count == SHARD_PARTNERS)
            remove_partner(shard, last_of(shard));
        MEMORY_NEW(partner);
        snprintf(partner->id, sizeof partner->id, "%s", id);
        list_init(&partner->kept);
        shard->partners_count++;
    }
    list_add_head(&shard->partners, &partner->link);
    return partner;
}

/* A partner that has one loses it: this one if it has all that it may have, else the one whose last
 * rejection is the oldest. */
static struct kept *take_place(struct shard *shard, struct rejected_partner *partner)
{
    if (partner->count == REJECTIONS_PER_PARTNER)
        release_one(shard, partner);
    if (list_is_empty(&shard->free) && shard->used < SHARD_PLACES) {
        struct kept *unused = &shard->places[shard->used++];
        list_init(&unused->link);
        return unused;
    }
    while (list_is_empty(&shard->free)) {
        struct rejected_partner *oldest = last_of(shard);
        if (oldest->count > 0)
            release_one(shard, oldest);
        if (oldest->count == 0)
            remove_partner(shard, oldest);
    }
    return LIST_TAKE_FIRST(&shard->free, struct kept, link);
}

bool rejections_take(
    struct rejections *rejections, const char *partner, enum refusal_reason reason, int64_t now_us)
{
    struct shard *shard = shard_of(rejections, partner);
    pthread_mutex_lock(&shard->lock);
    struct rejected_partner *found = find_or_add(shard, partner);
    int64_t *free_us = &found->of[reason].free_us;
    bool taken = *free_us - now_us <= (SAMPLE_BURST - 1) * SAMPLE_EVERY_US;
    if (taken)
        *free_us = (*free_us > now_us ? *free_us : now_us) + SAMPLE_EVERY_US;
    else if (found->of[reason].last)
        found->of[reason].last->rejection.similar++;
    pthread_mutex_unlock(&shard->lock);
    return taken;
}

void rejections_add(struct rejections *rejections, const char *partner, enum refusal_reason reason,
    const struct rejection *rejection)
{
    struct shard *shard = shard_of(rejections, partner);
    pthread_mutex_lock(&shard->lock);
    struct rejected_partner *found = find_or_add(shard, partner);
    struct kept *kept = take_place(shard, found);
    kept->reason = reason;
    kept->rejection = *rejection;
    list_add_tail(&found->kept, &kept->link);
    found->count++;
    found->of[reason].last = kept;
    found->of[reason].count++;
    pthread_mutex_unlock(&shard->lock);
    if (rejections->on_report)
        rejections->on_report(partner, rejection);
}

unsigned rejections_list(struct rejections *rejections, const char *partner,
    struct rejection ret_list[REJECTIONS_PER_PARTNER])
{
    struct shard *shard = shard_of(rejections, partner);
    unsigned count = 0;
    pthread_mutex_lock(&shard->lock);
    struct rejected_partner *found = find(shard, partner);
    if (found) {
        unsigned left = count = found->count;
        list_for_each (node, &found->kept)
            ret_list[--left] = CONTAINER_OF(node, struct kept, link)->rejection;
    }
    pthread_mutex_unlock(&shard->lock);
    return count;
}
