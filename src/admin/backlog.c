/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/backlog.h"

#include "admin/admin_internal.h"
#include "base/clock.h"
#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

/* The endpoints of operators. */

static unsigned operators_endpoints(
    const struct admin *admin, uint64_t ret_endpoints[ACCOUNT_ENDPOINTS_MAX])
{
    return admin->options.accounts
               ? directory_endpoints_of(accounts_directory(admin->options.accounts),
                     SLICE_LITERAL(OPERATOR_ACCOUNT), ret_endpoints)
               : 0;
}

void backlog_sum_all(const struct admin *admin, struct backlog_counts *ret_counts)
{
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX];
    unsigned count = operators_endpoints(admin, endpoints);
    *ret_counts = (struct backlog_counts){0};
    for (unsigned i = 0; admin->options.journals && i < admin->options.shards; i++)
        if (admin->options.journals[i]->backlog)
            backlog_board_add_all_but(
                admin->options.journals[i]->backlog, endpoints, count, ret_counts);
}

/* The items are sorted. Leaves what is past due in the operators' own account out. */
static const struct backlog_item *find_oldest_due(const struct backlog_view *view)
{
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX];
    unsigned count = operators_endpoints(view->admin, endpoints);
    for (unsigned i = 0; i < view->count; i++) {
        bool is_operators = false;
        for (unsigned j = 0; j < count; j++)
            is_operators |= view->items[i].endpoint == endpoints[j];
        if (!is_operators)
            return &view->items[i];
    }
    return NULL;
}

/* 1: the boards. */

struct candidate {
    unsigned shard;
    const struct backlog_node *node;
    int64_t in_progress, rest;
};

static int64_t dead_and_parked(const struct backlog_counts *counts)
{
    return backlog_parked(counts) + backlog_sum(counts, BACKLOG_DEAD);
}

static int compare_candidates(const void *one, const void *other)
{
    const struct candidate *a = one, *b = other;
    if (a->in_progress != b->in_progress)
        return a->in_progress > b->in_progress ? -1 : 1;
    return a->rest > b->rest ? -1 : a->rest < b->rest;
}

static bool is_wanted(const struct backlog_view *view, uint64_t id)
{
    if (!*view->account)
        return true;
    if (id == 0 || !view->admin->options.accounts)
        return false;
    const struct endpoint *endpoint =
        directory_endpoint(accounts_directory(view->admin->options.accounts), id);
    return endpoint && strcmp(endpoint->account, view->account) == 0;
}

static size_t gather(struct backlog_view *view, struct candidate **ret_candidates)
{
    const struct admin_options *options = &view->admin->options;
    struct candidate *candidates = NULL;
    size_t count = 0;
    view->is_complete = true;
    backlog_sum_all(view->admin, &view->all);
    for (unsigned shard = 0; options->journals && shard < options->shards; shard++) {
        const struct backlog_board *board = options->journals[shard]->backlog;
        if (!board)
            continue;
        view->is_complete &= atomic_load(&board->is_complete);
        for (const struct backlog_node *node = backlog_board_first(board); node;
             node = node->next) {
            struct backlog_counts counts;
            backlog_node_read(node, &counts);
            int64_t in_progress = backlog_in_progress(&counts), rest = dead_and_parked(&counts);
            if (in_progress + rest == 0 || !is_wanted(view, node->endpoint))
                continue;
            if ((count & (count - 1)) == 0)
                candidates =
                    memory_resize(candidates, (count ? count * 2 : 1) * sizeof *candidates);
            candidates[count++] = (struct candidate){shard, node, in_progress, rest};
        }
    }
    *ret_candidates = candidates;
    return count;
}

static void choose(struct backlog_view *view)
{
    struct candidate *candidates;
    size_t count = gather(view, &candidates);
    if (count > 0)
        qsort(candidates, count, sizeof *candidates, compare_candidates);
    view->has_more = count > BACKLOG_CANDIDATES_MAX;
    view->count = view->has_more ? BACKLOG_CANDIDATES_MAX : (unsigned)count;
    for (size_t i = view->count; i < count && candidates[i].in_progress > 0; i++)
        view->unknown++;
    view->items = memory_new_array(view->count + 1, sizeof *view->items);
    view->due.entries = memory_new_array(view->count + 1, sizeof *view->due.entries);
    for (unsigned i = 0; i < view->count; i++) {
        view->items[i] = (struct backlog_item){.shard = candidates[i].shard,
            .endpoint = candidates[i].node->endpoint,
            .due_us = INT64_MAX};
        backlog_node_read(candidates[i].node, &view->items[i].counts);
        view->due.entries[i] = (struct journal_due_entry){
            .shard = candidates[i].shard, .endpoint = candidates[i].node->endpoint};
    }
    view->due.count = view->count;
    free(candidates);
}

/* 3: the shards. */

static void end(struct backlog_view *view)
{
    view->on_done(view, view->admin->has_ended ? ERR_SHUTTING_DOWN : view->due.request.result);
}

static void end_look(struct backlog_view *view)
{
    if (--view->looks_open == 0)
        end(view);
}

static void on_looked(struct request *request, void *receiver)
{
    struct queue_look *look = CONTAINER_OF(request, struct queue_look, ask);
    struct backlog_view *view = look->context;
    end_look(view);
}

/* The first items, shard by shard: each shard answers its part of the entries. */
static void look_at_queues(struct backlog_view *view)
{
    const struct admin_options *options = &view->admin->options;
    unsigned wanted = view->look_max < view->count ? view->look_max : view->count, used = 0;
    if (!options->look_at_queues) {
        end(view);
        return;
    }
    view->entries = memory_new_array(wanted + 1, sizeof *view->entries);
    for (unsigned shard = 0; shard < options->shards; shard++) {
        struct queue_look *look = &view->looks[shard];
        *look = (struct queue_look){.entries = &view->entries[used], .context = view};
        for (unsigned i = 0; i < wanted; i++) {
            if (view->items[i].shard != shard || view->items[i].endpoint == 0)
                continue;
            view->entries[used].endpoint = view->items[i].endpoint;
            view->items[i].look = &view->entries[used++];
            look->count++;
        }
        look->ask.reply_to = &view->admin->mailbox;
        look->ask.on_done = on_looked;
    }
    view->looks_open = 1;
    for (unsigned shard = 0; shard < options->shards; shard++) {
        if (view->looks[shard].count == 0)
            continue;
        view->looks_open++;
        options->look_at_queues(&view->looks[shard], shard, options->context);
    }
    end_look(view);
}

/* 2: the reader. */

static int compare_items(const void *one, const void *other)
{
    const struct backlog_item *a = one, *b = other;
    if (a->due_us != b->due_us)
        return a->due_us < b->due_us ? -1 : 1;
    int64_t more = backlog_in_progress(&b->counts) - backlog_in_progress(&a->counts);
    if (more != 0)
        return more > 0 ? 1 : -1;
    more = dead_and_parked(&b->counts) - dead_and_parked(&a->counts);
    return more > 0 ? 1 : more < 0 ? -1 : 0;
}

static void on_due(struct request *request, void *receiver)
{
    struct backlog_view *view = CONTAINER_OF(request, struct backlog_view, due.request);
    if (request->result || view->admin->has_ended) {
        end(view);
        return;
    }
    for (unsigned i = 0; i < view->count; i++) {
        const struct journal_due_entry *entry = &view->due.entries[i];
        struct backlog_item *item = &view->items[i];
        item->is_known = entry->ret_known;
        item->waits = entry->ret_waits;
        item->due_us = entry->ret_due_us;
        view->unknown += !entry->ret_known && backlog_in_progress(&item->counts) > 0;
    }
    if (view->count > 0)
        qsort(view->items, view->count, sizeof view->items[0], compare_items);
    const struct backlog_item *oldest = find_oldest_due(view);
    view->oldest_due_us = oldest ? oldest->due_us : INT64_MAX;
    view->oldest_waits = oldest && oldest->waits;
    view->is_complete &= view->unknown == 0 && view->due.ret_unreadable == 0;
    view->free_bytes = view->due.ret_free_bytes;
    view->journal_bytes = view->due.ret_journal_bytes;
    look_at_queues(view);
}

void backlog_view_ask(struct backlog_view *view)
{
    assert(view->on_done && view->look_max <= QUEUE_LOOK_MAX);
    view->now_us = clock_wall_us();
    choose(view);
    view->due.now_us = view->now_us;
    view->due.request.reply_to = &view->admin->mailbox;
    view->due.request.on_done = on_due;
    journal_reader_due(view->admin->options.reader, &view->due);
}

void backlog_view_free(struct backlog_view *view)
{
    free(view->items);
    free(view->due.entries);
    free(view->entries);
    free(view);
}

/* JSON. */

static void add_parked(json_t *view, const struct backlog_counts *counts)
{
    json_t *parked = json_object();
    for (unsigned reason = PARK_NONE + 1; reason < PARK_REASONS; reason++) {
        int64_t count = backlog_sum(counts, (enum backlog_kind)(BACKLOG_PARKED + reason));
        if (count > 0)
            json_object_set_new(
                parked, park_reason_name((enum park_reason)reason), json_integer(count));
    }
    json_object_set_new(view, "parked_by_reason", parked);
}

static void add_state(json_t *view, const char *name, int64_t sum)
{
    json_object_set_new(view, name, json_integer(sum));
}

static const struct {
    const char *name;
    enum backlog_kind kind;
} states[] = {{"pending", BACKLOG_PENDING}, {"replays", BACKLOG_REPLAYS},
    {"sending", BACKLOG_SENDING}, {"waiting", BACKLOG_WAITING}, {"dead", BACKLOG_DEAD}};

json_t *backlog_counts_view(const struct backlog_counts *counts)
{
    json_t *view = json_object(), *classes = json_object();
    for (unsigned class = 0; class < EVENT_CLASSES; class ++) {
        json_t *of = json_object();
        int64_t parked = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
            add_state(of, states[i].name, counts->of[states[i].kind][class]);
        for (unsigned reason = 0; reason < PARK_REASONS; reason++)
            parked += counts->of[BACKLOG_PARKED + reason][class];
        add_state(of, "parked", parked);
        json_object_set_new(classes, class_name((enum event_class) class), of);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
        add_state(view, states[i].name, backlog_sum(counts, states[i].kind));
    add_state(view, "parked", backlog_parked(counts));
    add_parked(view, counts);
    json_object_set_new(view, "by_class", classes);
    return view;
}

static json_t *view_causes(const struct queue_look_entry *look, int64_t *ret_delivered)
{
    json_t *causes = json_array();
    *ret_delivered = 0;
    for (unsigned i = 0; i < RECENT_CAUSES; i++) {
        const struct cause_count *count = &look->ret_causes[i];
        int64_t sum = (int64_t)count->present + count->before;
        if (sum > 0 && count->cause == CAUSE_NONE)
            *ret_delivered = sum;
        else if (sum > 0)
            json_array_append_new(causes,
                json_pack("{s:s, s:I, s:s}", "cause", attempt_cause_code(count->cause), "count",
                    (json_int_t)sum, "remedy", attempt_cause_remedy(count->cause)));
    }
    return causes;
}

void backlog_add_look(json_t *view, const struct queue_look_entry *look)
{
    static const char *const breakers[] = {
        [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_HALF_OPEN] = "half-open"};
    int64_t delivered = 0;
    json_t *causes = view_causes(look, &delivered);
    json_object_set_new(view, "breaker", json_string(breakers[look->ret_breaker]));
    json_object_set_new(view, "failing_since", admin_time(look->ret_failing_since_us));
    json_object_set_new(view, "next_probe_at", admin_time(look->ret_next_probe_us));
    json_object_set_new(view, "in_flight", json_integer(look->ret_in_flight));
    json_object_set_new(view, "in_flight_limit", json_integer(look->ret_in_flight_limit));
    json_object_set_new(view, "queued", json_integer(look->ret_queued));
    json_object_set_new(
        view, "rate_limit", look->ret_rate > 0 ? json_real(look->ret_rate) : json_null());
    json_object_set_new(view, "rate_limit_is_learned", json_boolean(look->ret_rate_is_learned));
    json_object_set_new(view, "retries_held", json_boolean(look->ret_retries_held));
    json_object_set_new(view, "lately_delivered", json_integer(delivered));
    json_object_set_new(view, "lately_failed", causes);
}

json_t *backlog_item_view(const struct backlog_view *view, const struct backlog_item *item)
{
    static const struct queue_look_entry never = {0};
    const struct endpoint *endpoint = NULL;
    const struct admin *admin = view->admin;
    json_t *json = backlog_counts_view(&item->counts);
    if (item->endpoint && admin->options.accounts)
        endpoint = directory_endpoint(accounts_directory(admin->options.accounts), item->endpoint);
    json_object_set_new(json, "endpoint", admin_endpoint_label(admin, item->endpoint));
    json_object_set_new(json, "account", endpoint ? json_string(endpoint->account) : json_null());
    json_object_set_new(json, "enabled", endpoint ? json_boolean(endpoint->enabled) : json_null());
    bool is_late = item->due_us != INT64_MAX;
    json_object_set_new(json, "oldest_past_due", is_late ? admin_time(item->due_us) : json_null());
    json_object_set_new(json, "past_due_seconds",
        is_late ? json_integer((view->now_us - item->due_us) / US_PER_SECOND) : json_null());
    if (item->endpoint)
        backlog_add_look(json, item->look ? item->look : &never);
    return json;
}
