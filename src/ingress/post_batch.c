/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /v1/events/batch. All items are posted at once, each like a single event. The result of each
 * is kept as text until the last one is known, or until the partner has waited too long. Then the
 * unknown ones are answered as unavailable. If the partner re-sends them, they are duplicates.
 *
 * If the partner may not post all items now (partner_limits.h), the first ones are posted, and the
 * results of the others have the status 429.
 */
#include "ingress/ingress_internal.h"
#include "model/batch_split.h"

struct batch;

struct batch_item {
    struct queue_entry entry;
    struct batch *batch;
    size_t result_at, result_len; /* in the batch's results; length 0: not known yet */
};

struct batch {
    struct awaited awaited;
    struct ingress *ingress;
    struct buffer results;
    unsigned items_count;
    unsigned items_in_flight; /* plus one while they are being posted */
    struct batch_item items[];
};

/* A result is written to batch->results between these two calls. */
static void begin_result(struct batch_item *item)
{
    item->result_at = item->batch->results.len;
}

static void end_result(struct batch_item *item)
{
    item->result_len = item->batch->results.len - item->result_at;
}

/* `body`: what the partner sent as this item. */
static void set_refused(struct batch_item *item, const struct refusal *refusal, struct slice body)
{
    if (item->batch->awaited.exchange)
        http_note_refusal(
            item->batch->awaited.exchange, &(struct http_refused){.error = refusal->error,
                                               .detail = refusal->detail,
                                               .problems = &refusal->problems,
                                               .body = body});
    begin_result(item);
    http_print_refusal(&item->batch->results, refusal);
    end_result(item);
}

static void set_durable(struct batch_item *item, enum err result)
{
    if (!result_is_good(result)) {
        struct refusal refusal;
        result_refuse(&item->entry.append, result, &refusal);
        set_refused(item, &refusal, item->entry.append.event->parts.body);
        return;
    }
    begin_result(item);
    result_print(item->batch->ingress, &item->entry.append, result,
        "{\"status\":200,\"result\":", &item->batch->results);
    end_result(item);
}

static void answer(struct batch *batch)
{
    struct refusal late;
    (void)refuse(&late, ERR_TIMEOUT, REFUSED_LATE);
    for (unsigned i = 0; i < batch->items_count; i++) {
        const struct event *event = batch->items[i].entry.append.event;
        if (batch->items[i].result_len == 0)
            set_refused(&batch->items[i], &late, event ? event->parts.body : SLICE_LITERAL(""));
    }
    struct buffer json = BUFFER_EMPTY;
    buffer_add_string(&json, "{\"results\":[");
    for (unsigned i = 0; i < batch->items_count && !batch->results.failed; i++) {
        const struct batch_item *item = &batch->items[i];
        buffer_add_string(&json, i ? "," : "");
        buffer_add(&json, batch->results.data + item->result_at, item->result_len);
    }
    buffer_add_string(&json, "]}\n");
    struct http_exchange *exchange = awaited_take_exchange(&batch->awaited);
    if (buffer_status(&batch->results) == OK && buffer_status(&json) == OK)
        http_answer(exchange,
            &(struct http_reply){
                .status = 200, .content_type = "application/json", .body = buffer_slice(&json)});
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, "Send the batch again later.", NULL);
    buffer_done(&json);
}

/* Counts an item down. When all results are known, answers and frees the batch. */
static void end_item(struct batch *batch)
{
    if (--batch->items_in_flight > 0)
        return;
    if (batch->awaited.exchange)
        answer(batch);
    awaited_end(&batch->awaited, batch->ingress);
    buffer_done(&batch->results);
    free(batch);
}

static void on_durable(struct queue_entry *entry, enum err result)
{
    struct batch_item *item = CONTAINER_OF(entry, struct batch_item, entry);
    struct batch *batch = item->batch;
    result_count(result);
    if (batch->awaited.exchange)
        set_durable(item, result);
    event_unref(TAKE(entry->append.event));
    end_item(batch);
}

static void on_late(struct awaited *awaited)
{
    answer(CONTAINER_OF(awaited, struct batch, awaited));
}

static enum err check_request(
    const struct http_exchange *exchange, enum batch_form *ret_form, struct refusal *ret_refusal)
{
    bool is_lines = media_is(exchange, "application/x-ndjson");
    if (!is_lines && !media_is(exchange, "application/json"))
        return refuse(ret_refusal, ERR_MEDIA_TYPE,
            "Send the batch as content-type: application/x-ndjson (one event per line) or "
            "application/json (an array).");
    if (!media_is_plain(exchange))
        return refuse(ret_refusal, ERR_MEDIA_TYPE, "Send the body without content-encoding.");
    if (http_header(exchange, "idempotency-key").data)
        return refuse(ret_refusal, ERR_INVALID,
            "The Idempotency-Key header is for single events. Give each event of the batch its own "
            "id instead.");
    *ret_form = is_lines ? BATCH_LINES : BATCH_ARRAY;
    return OK;
}

static struct batch *batch_new(
    struct ingress *ingress, struct http_exchange *exchange, unsigned items_count)
{
    struct batch *batch = calloc(1, sizeof *batch + items_count * sizeof batch->items[0]);
    if (!batch)
        return NULL;
    batch->ingress = ingress;
    batch->items_count = items_count;
    batch->items_in_flight = 1;
    for (unsigned i = 0; i < items_count; i++)
        batch->items[i].batch = batch;
    awaited_begin(&batch->awaited, ingress, exchange, on_late);
    return batch;
}

static void post_item(struct batch_item *item, const struct submission *submission)
{
    struct refusal refusal;
    enum err failed =
        ingress_accept(item->batch->ingress, submission, &item->entry.append, &refusal);
    if (failed) {
        result_count_refused(failed);
        set_refused(item, &refusal, submission->body);
        return;
    }
    item->batch->items_in_flight++;
    item->entry.on_durable = on_durable;
    ingress_enqueue(item->batch->ingress, &item->entry);
}

static enum err post_batch(struct ingress *ingress, struct http_exchange *exchange,
    const struct caller *caller, struct refusal *ret_refusal)
{
    enum batch_form form = BATCH_LINES;
    struct slice items[BATCH_ITEMS_MAX];
    unsigned count = 0;
    enum err failed = check_request(exchange, &form, ret_refusal);
    if (!failed)
        failed = batch_split(http_body(exchange), form, items, &count, ret_refusal);
    if (failed)
        return failed;
    struct batch *batch = batch_new(ingress, exchange, count);
    if (!batch)
        return refuse(ret_refusal, ERR_NO_MEMORY, "Send the batch again later.");
    struct submission submission = {
        .caller = *caller, .traceparent = http_header(exchange, "traceparent")};
    struct refusal over_limit;
    unsigned taken = ingress_take_items(ingress, exchange, caller->partner, count, &over_limit);
    for (unsigned i = taken; i < count; i++) {
        result_count_refused(over_limit.error);
        set_refused(&batch->items[i], &over_limit, items[i]);
    }
    for (unsigned i = 0; i < taken; i++) {
        submission.body = items[i];
        post_item(&batch->items[i], &submission);
    }
    end_item(batch);
    return OK;
}

void ingress_post_batch(struct http_exchange *exchange, void *context)
{
    struct caller caller;
    struct refusal refusal;
    if (!ingress_admitted(context, exchange, &caller))
        return;
    enum err failed = post_batch(context, exchange, &caller, &refusal);
    if (!failed)
        return;
    result_count_refused(failed);
    http_answer_refusal(exchange, &refusal);
}
