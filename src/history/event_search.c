/* SPDX-License-Identifier: Apache-2.0 */
#include "history/event_search.h"

#include "base/clock.h"
#include "base/memory.h"
#include "history/reading.h"
#include "history/timeline.h"
#include "journal/delivery_rows.h"
#include "journal/event_keys.h"
#include "model/placement.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_PER_LOOK 16 /* at the clock */

static const char events_text[] =
    "SELECT " EVENT_COLUMNS " FROM events WHERE seq <= ? AND seq >= ? ORDER BY seq DESC";
static const char newest_text[] = "SELECT seq FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1";

/* One shard's way from the newest event to the oldest. */
struct walk {
    struct timeline_source *source; /* NULL: the shard is at its end */
    struct sqlite3_stmt *events, *newest;
    struct event_keys_look_up look_up; /* with a key */
    int64_t after, next;               /* the numbers that are left are in (after, next] */
    struct found_event found;          /* `event` is NULL: nothing */
    int64_t found_seq;
};

struct pager {
    struct journal_search *search;
    const struct delivery_filter *filter;
    int64_t deadline_us;
    unsigned looked;
    bool is_late;
    bool asks_for_row;
};

static void look_at_clock(struct pager *pager)
{
    if (++pager->looked % ROWS_PER_LOOK == 0 && clock_mono_us() >= pager->deadline_us)
        pager->is_late = true;
}

static void found_done(struct found_event *found)
{
    event_unref(found->event);
    free(found->deliveries);
    *found = (struct found_event){0};
}

static bool row_fits(const struct delivery_filter *filter, const struct delivery_row *row)
{
    const struct delivery_filter_row asked = {.endpoint = row->endpoint,
        .state = row->state,
        .reason = row->reason,
        .was_delivered = row->delivered_us != 0};
    return delivery_filter_matches_row(filter, &asked);
}

/* The deliveries of an event; false in *ret_fits when none is what the filter asks for. */
static enum err read_deliveries(struct pager *pager, struct walk *walk, int64_t seq,
    struct found_event *ret_found, bool *ret_fits)
{
    struct timeline_delivery rows[ACCOUNT_ENDPOINTS_MAX];
    struct sql_use use = sql_use(walk->source->statements[TIMELINE_DELIVERIES]);
    unsigned count = 0;
    bool there = false;
    enum err err;
    *ret_fits = !pager->asks_for_row;
    sql_bind_int(&use, placement_first_delivery(seq));
    sql_bind_int(&use, placement_last_delivery(seq));
    while (!(err = sql_step(&use, &there)) && there && count < ACCOUNT_ENDPOINTS_MAX) {
        struct delivery_row row;
        bool damaged = !delivery_row_take(&use, 0, &row);
        *ret_fits |= row_fits(pager->filter, &row);
        rows[count++] = timeline_delivery_of(&row, damaged);
    }
    sql_finish(&use);
    if (err || !*ret_fits || count == 0)
        return err;
    ret_found->deliveries = memory_new_raw(count * sizeof rows[0]);
    memcpy(ret_found->deliveries, rows, count * sizeof rows[0]);
    ret_found->deliveries_count = count;
    return OK;
}

/* Takes the event of a row, if the filter lets it through. */
static enum err offer(struct pager *pager, struct walk *walk, const struct sql_use *use)
{
    const struct delivery_filter *filter = pager->filter;
    struct found_event found = {0};
    struct event_parts parts;
    unsigned promised;
    bool fits;
    walk->found_seq = sql_column_int(use, 0);
    walk->next = walk->found_seq - 1;
    /* Most events of a search by account are another's: their checksums need not be computed. */
    if (*filter->account &&
        !slice_equals_string(sql_column_slice(use, EVENT_COLUMN_ACCOUNT), filter->account))
        return OK;
    found.damaged = !event_row_take(use, &walk->found_seq, &parts, &promised);
    if (!delivery_filter_matches_event(filter, &parts))
        return OK;
    enum err err = read_deliveries(pager, walk, walk->found_seq, &found, &fits);
    if (!err && fits)
        err = event_new(&parts, NULL, 0, &found.event);
    if (err)
        found_done(&found);
    else
        walk->found = found;
    return err;
}

static bool is_halted(const struct pager *pager, const struct walk *walk)
{
    return walk->found.event || pager->is_late;
}

/* Reads events from `next` down to `lowest`, until one is found. */
static enum err read_down(struct pager *pager, struct walk *walk, int64_t lowest)
{
    struct sql_use use = sql_use(walk->events);
    bool there = true;
    enum err err = OK;
    sql_bind_int(&use, walk->next);
    sql_bind_int(&use, lowest);
    while (!err && there && !is_halted(pager, walk)) {
        err = sql_step(&use, &there);
        if (!err && there)
            err = offer(pager, walk, &use);
        look_at_clock(pager);
    }
    sql_finish(&use);
    if (!err && !there)
        walk->next = lowest - 1;
    return err;
}

/* Goes to the newest event of those that are left: expired ones and numbers that were never used
 * are passed over. */
static enum err skip_gap(struct walk *walk)
{
    struct sql_use use = sql_use(walk->newest);
    sql_bind_int(&use, walk->next);
    enum err err = sql_execute_int(&use, &walk->next);
    if (err == ERR_NOT_FOUND)
        walk->next = walk->after;
    return err == ERR_NOT_FOUND ? OK : err;
}

/* The events that the index names, one by one. */
static enum err read_candidates(
    struct pager *pager, struct walk *walk, const struct event_keys_found *named)
{
    enum err err = OK;
    for (unsigned i = 0; i < named->count && !err && !is_halted(pager, walk); i++) {
        if (named->seqs[i] <= walk->after)
            break;
        walk->next = named->seqs[i];
        err = read_down(pager, walk, named->seqs[i]);
    }
    if (!err && !is_halted(pager, walk))
        walk->next = named->first - 1;
    return err;
}

static enum err find_by_key(struct pager *pager, struct walk *walk)
{
    enum err err = OK;
    while (!err && walk->next > walk->after && !is_halted(pager, walk)) {
        struct event_keys_found named;
        err = event_keys_find(&walk->look_up, walk->next, &named);
        if (!err && named.is_indexed) {
            err = read_candidates(pager, walk, &named);
        } else if (!err) {
            int64_t lowest = named.first > walk->after ? named.first : walk->after + 1;
            err = read_down(pager, walk, lowest);
            if (!err && !is_halted(pager, walk))
                err = skip_gap(walk);
        }
        /* Each answer may read the disk. What was found is taken first: a page leads on. */
        if (!walk->found.event && clock_mono_us() >= pager->deadline_us)
            pager->is_late = true;
    }
    return err;
}

/* Finds the next event of a shard, unless it has one that no page has taken. */
static enum err advance(struct pager *pager, struct walk *walk)
{
    if (walk->found.event || walk->next <= walk->after)
        return OK;
    return *pager->filter->key ? find_by_key(pager, walk) : read_down(pager, walk, walk->after + 1);
}

/* The numbers of the time that is asked for, and the statements. */
static enum err begin(struct pager *pager, struct walk *walk, int64_t next)
{
    const struct delivery_filter *filter = pager->filter;
    struct sqlite3 *db = walk->source->db;
    int64_t last = INT64_MAX;
    enum err err = reading_begin(db);
    if (!err && (filter->since_us || filter->until_us))
        err = reading_find_range(db, filter->since_us,
            filter->until_us ? filter->until_us : INT64_MAX, &walk->after, &last);
    if (!err)
        err = sql_prepare(db, events_text, &walk->events);
    if (!err)
        err = sql_prepare(db, newest_text, &walk->newest);
    if (!err && *filter->key)
        err = event_keys_look_up_init(&walk->look_up, db, slice_from_string(filter->key));
    walk->next = next < last ? next : last;
    return err ? err : skip_gap(walk);
}

static void end(struct walk *walk)
{
    if (!walk->source)
        return;
    sql_finalize(walk->events);
    sql_finalize(walk->newest);
    event_keys_look_up_done(&walk->look_up);
    found_done(&walk->found);
    reading_end(walk->source->db);
}

/* Returns the shard with the newest event; `shards` when there is none. */
static unsigned newest_of(const struct walk *walks, unsigned shards)
{
    unsigned best = shards;
    for (unsigned i = 0; i < shards; i++)
        if (walks[i].found.event &&
            (best == shards || walks[i].found.event->parts.accepted_us >
                                   walks[best].found.event->parts.accepted_us))
            best = i;
    return best;
}

static enum err fill_page(
    struct pager *pager, struct walk *walks, unsigned shards, unsigned *ret_shard)
{
    struct journal_search *search = pager->search;
    while (search->ret_count < search->count_max) {
        enum err err = OK;
        for (unsigned i = 0; i < shards && !err && !pager->is_late; i++) {
            *ret_shard = i;
            err = advance(pager, &walks[i]);
        }
        unsigned best = newest_of(walks, shards);
        if (err || pager->is_late || best == shards)
            return err;
        search->ret_events[search->ret_count++] = walks[best].found;
        walks[best].found = (struct found_event){0};
    }
    return OK;
}

/* What was found and is on no page is looked for again. */
static void keep_places(struct journal_search *search, const struct walk *walks, unsigned shards)
{
    search->cursor.shards = shards;
    search->ret_more = false;
    for (unsigned i = 0; i < shards; i++) {
        const struct walk *walk = &walks[i];
        int64_t next = walk->found.event ? walk->found_seq : walk->next;
        search->cursor.next[i] = next > walk->after ? next : 0;
        search->ret_more |= search->cursor.next[i] != 0;
    }
}

/* Where a shard begins on this page; 0: it has nothing more. */
static int64_t first_of(const struct journal_search *search, unsigned shard)
{
    if (search->cursor.shards)
        return search->cursor.next[shard];
    return search->has_shard && search->shard != shard ? 0 : INT64_MAX;
}

enum err event_search_read(struct timeline_source *sources, unsigned shards,
    struct journal_search *search, int64_t deadline_us, unsigned *ret_shard)
{
    struct walk *walks = memory_new(shards * sizeof walks[0]);
    const struct delivery_filter *filter = &search->filter;
    struct pager pager = {.search = search,
        .filter = filter,
        .deadline_us = deadline_us,
        .asks_for_row = filter->states || filter->has_endpoint || filter->park_reason};
    enum err err = search->cursor.shards == 0 || search->cursor.shards == shards ? OK : ERR_INVALID;
    *ret_shard = 0;
    for (unsigned i = 0; i < shards && !err; i++) {
        int64_t first = first_of(search, i);
        if (first == 0)
            continue;
        *ret_shard = i;
        walks[i].source = &sources[i];
        err = begin(&pager, &walks[i], first);
    }
    if (!err)
        err = fill_page(&pager, walks, shards, ret_shard);
    if (!err)
        keep_places(search, walks, shards);
    for (unsigned i = 0; i < shards; i++)
        end(&walks[i]);
    free(walks);
    return err;
}

void journal_search_done(struct journal_search *search)
{
    for (unsigned i = 0; i < search->ret_count; i++)
        found_done(&search->ret_events[i]);
    free(search->ret_events);
    search->ret_events = NULL;
    search->ret_count = 0;
}
