/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request, from its arrival to its record:
 *
 *   arrives -- draw --+-- due now --------------------------.
 *                     +-- due later --> waiting --timer-----+--> deed: log; answer, drop or cut
 *                     '-- hangs ------> waiting
 *
 *   waiting --the client leaves, or the sink ends--> logged as never ended
 *
 * A waiting request is allocated in the memory of h2o's request, and its dispose callback is called
 * at the end of that request. A client that leaves does not undo the work: the record has the
 * status that the answer would have had.
 */
#include "base/clock.h"
#include "model/event_id.h"
#include "sink/connection.h"

#include <poll.h>
#include <stdlib.h>

struct waiting {
    struct timer timer;
    struct list link; /* in the loop's list */
    struct sink_loop *loop;
    h2o_req_t *req;
    const struct behaviour *behaviour;
    struct behaviour_draw draw;
    struct sink_record record;
    bool ended; /* logged */
};

static struct slice header(const h2o_req_t *req, const char *name)
{
    ssize_t found = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);
    return found < 0 ? slice_of(NULL, 0) : slice_from_iovec(req->headers.entries[found].value);
}

static struct slice header_for_match(const void *request, const char *name)
{
    return header(request, name);
}

static uint32_t parse_attempt(struct slice text)
{
    uint32_t attempt = 0;
    for (size_t i = 0; i < text.len && i < 9 && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        attempt = attempt * 10 + (uint32_t)(text.data[i] - '0');
    return attempt;
}

static struct slice path_of(const h2o_req_t *req)
{
    return slice_of(req->path.base, req->query_at < req->path.len ? req->query_at : req->path.len);
}

/* Fills in what is known of a request when it arrives. */
static void describe(struct sink_loop *loop, h2o_req_t *req, const struct behaviour *behaviour,
    bool warm, struct sink_record *ret_record)
{
    struct slice body = req->entity.len > 0 ? slice_from_iovec(req->entity) : SLICE_LITERAL("");
    struct signed_request claim = {header(req, "webhook-id"), header(req, "webhook-timestamp"),
        header(req, "webhook-signature"), body};
    *ret_record = (struct sink_record){.received_us = run_log_now_us(),
        .number = run_log_number(body, ""),
        .body_hash = run_log_hash(body),
        .attempt = parse_attempt(header(req, "penstock-attempt")),
        .body_bytes = (uint32_t)body.len,
        .path = (uint16_t)behaviour->path,
        .warm = warm,
        .http2 = req->version >= 0x200};
    struct event_id event;
    if (match_is_set(&loop->sink->match))
        match_fill(&loop->sink->match, header_for_match, req, body, ret_record);
    else if (event_id_parse(claim.id, &event))
        memcpy(ret_record->event, event.bytes, sizeof ret_record->event);
    run_log_money(body, &ret_record->amount_micros, ret_record->currency);
    ret_record->signature = (uint8_t)signature_check(&loop->signatures, behaviour, &claim);
}

static void add_retry_after(h2o_req_t *req, int64_t seconds)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)seconds);
    h2o_iovec_t value = h2o_strdup(&req->pool, text, (size_t)len);
    h2o_add_header_by_str(
        &req->pool, &req->res.headers, H2O_STRLIT("retry-after"), 1, NULL, value.base, value.len);
}

/* Logs the request, then answers, drops or cuts. The request may be disposed of here. */
static void deed(struct sink_loop *loop, h2o_req_t *req, const struct behaviour *behaviour,
    const struct behaviour_draw *draw, struct sink_record *record)
{
    enum sink_deed what = connection_is_dying(connection_of(req)) ? SINK_DROPPED : draw->deed;
    record->deed = (uint8_t)what;
    record->status = (uint16_t)draw->status;
    record->answered_us = run_log_now_us();
    sink_log_ended(loop->sink->log, record, false);
    if (what == SINK_DROPPED) {
        connection_break(loop, req);
        return;
    }
    bool has_body = draw->status != 204 && draw->status != 205 && draw->status != 304;
    size_t body_len = has_body ? behaviour->body_len : 0;
    if (draw->status >= 300 && behaviour->retry_after_s >= 0)
        add_retry_after(req, behaviour->retry_after_s);
    if (what == SINK_CUT_SHORT) {
        req->res.status = (int)draw->status;
        connection_break_answer(loop, req, behaviour->body, body_len);
    } else {
        server_answer(req, (int)draw->status, body_len > 0 ? "application/json" : NULL,
            behaviour->body, body_len);
    }
}

/* Removes it from the waiting requests. It may be logged once after this. */
static void stop_waiting(struct waiting *waiting)
{
    waiting->ended = true;
    timers_unset(&waiting->loop->timers, &waiting->timer);
    list_remove(&waiting->link);
}

static void end_without_answer(struct waiting *waiting)
{
    stop_waiting(waiting);
    waiting->record.deed = SINK_NEVER_ENDED;
    waiting->record.status = (uint16_t)waiting->draw.status;
    sink_log_ended(
        waiting->loop->sink->log, &waiting->record, waiting->draw.deed == SINK_NEVER_ENDED);
}

static void on_request_gone(void *memory)
{
    struct waiting *waiting = memory;
    if (!waiting->ended)
        end_without_answer(waiting);
}

static void on_due(struct timer *timer)
{
    struct waiting *waiting = CONTAINER_OF(timer, struct waiting, timer);
    stop_waiting(waiting);
    deed(waiting->loop, waiting->req, waiting->behaviour, &waiting->draw, &waiting->record);
}

static void wait_for_end(struct sink_loop *loop, h2o_req_t *req, const struct behaviour *behaviour,
    const struct behaviour_draw *draw, const struct sink_record *record)
{
    struct waiting *waiting = h2o_mem_alloc_shared(&req->pool, sizeof *waiting, on_request_gone);
    *waiting = (struct waiting){.timer = {.on_due = on_due},
        .loop = loop,
        .req = req,
        .behaviour = behaviour,
        .draw = *draw,
        .record = *record};
    list_add_tail(&loop->waiting, &waiting->link);
    if (draw->deed == SINK_NEVER_ENDED)
        sink_log_hangs(loop->sink->log);
    else
        timers_set(&loop->timers, &waiting->timer, clock_mono_us() + draw->after_us);
}

int respond_on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    struct sink_loop *loop = server_loop_of(req)->data;
    bool warm = connection_of(req)->requests++ > 0;
    if (control_handle(loop->sink, req))
        return 0;
    sink_log_received(loop->sink->log);
    const struct behaviour *behaviour = paths_find(loop->sink->paths, path_of(req));
    struct sink_record record;
    describe(loop, req, behaviour, warm, &record);
    struct behaviour_draw draw;
    behaviour_draw(behaviour, warm, clock_mono_us() - loop->sink->start_us,
        worker_table_find(&loop->workers, behaviour), &loop->random, &draw);
    if (draw.deed != SINK_NEVER_ENDED && draw.after_us == 0)
        deed(loop, req, behaviour, &draw, &record);
    else
        wait_for_end(loop, req, behaviour, &draw, &record);
    return 0;
}

void respond_find_gone(struct sink_loop *loop)
{
    list_for_each_safe (link, following, &loop->waiting) {
        struct waiting *waiting = CONTAINER_OF(link, struct waiting, link);
        h2o_req_t *req = waiting->req;
        if (req->version >= 0x200)
            continue;
        struct pollfd fd = {
            .fd = h2o_socket_get_fd(connection_of(req)->socket), .events = POLLRDHUP};
        if (poll(&fd, 1, 0) == 1 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR))) {
            end_without_answer(waiting);
            connection_break(
                loop, req); /* disposes of this request only: HTTP/1 has no other one on it */
        }
    }
}

void respond_end_waiting(struct sink_loop *loop)
{
    list_for_each_safe (link, following, &loop->waiting)
        end_without_answer(CONTAINER_OF(link, struct waiting, link));
}
