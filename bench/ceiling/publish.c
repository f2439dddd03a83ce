/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ceiling of a durable broker. Each request is published to a quorum queue, persistent and
 * mandatory, through the default exchange. It is answered when the broker confirms it. Each loop
 * has a connection of its own.
 *
 *   request -> waiting -> pump -> window --ack-------------> answer 200
 *                                        --nack or return--> answer 503
 *
 * The pump runs once for all requests of a turn of the loop, and when the broker has sent
 * something. It reads first. Then it publishes while the window has room and the socket takes a
 * whole message.
 *
 * The socket is checked because amqp_basic_publish (librabbitmq 0.11) waits without a limit for a
 * broker that does not read. The pump calls it only while the kernel's queue (SIOCOUTQ) is far
 * below the size of the send buffer. Other requests wait. The next confirms wake the pump again.
 *
 * The window is a range of delivery tags: the oldest unconfirmed one and `window` - 1 more. A
 * returned message has its tag in message-id, and is acked right after. When the connection fails,
 * all later requests are answered 503: without a broker there is nothing to measure.
 */
#include "ceiling/publish.h"

#include "ceiling/broker_link.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define SEND_BUFFER_SHARE \
    4 /* publish only below 1/4 of the buffer: the kernel counts its own overhead too */
#define MESSAGE_OVERHEAD_BYTES \
    512 /* method, header and frames of one message, the queue's name included */
#define TAG_TEXT_BYTES 21
#define MESSAGE_ID_BYTES 41 /* the length of evt_<uuid> */

struct slot {
    struct held *held; /* NULL: ended */
    bool returned;
};

struct publisher {
    struct ceiling_loop super;
    struct ceiling *ceiling;
    struct broker_link link; /* immutable after on_start */
    h2o_socket_t *socket;
    h2o_timeout_entry_t turn; /* linked when the pump has to run */
    amqp_bytes_t queue_name;
    struct list waiting;           /* held_publish */
    uint64_t next_tag, oldest_tag; /* the tags from oldest_tag to next_tag - 1 are in the window */
    unsigned window;
    struct slot *slots; /* by tag modulo window */
    size_t send_room;   /* the socket takes at least so many bytes now */
    size_t send_limit;
    bool broken;
    bool returning; /* the next header frame belongs to a returned message */
    uint64_t confirmed, nacks, returned;
};

struct held_publish {
    struct held super;
    struct list link;
};

/* A tag is acked, nacked or returned. Later tags may have ended before it. */
static void end_message(struct publisher *publisher, uint64_t tag, bool acked)
{
    struct slot *slot = &publisher->slots[tag % publisher->window];
    if (!slot->held)
        return;
    struct held *held = slot->held;
    bool confirmed = acked && !slot->returned;
    *slot = (struct slot){0};
    if (confirmed) {
        publisher->confirmed++;
        held_answer(held, 200, ceiling_accepted, CEILING_ACCEPTED_BYTES);
    } else {
        held_answer(held, 503, NULL, 0);
    }
}

static void end_up_to(struct publisher *publisher, uint64_t tag, bool acked, bool multiple)
{
    if (tag >= publisher->next_tag || tag < publisher->oldest_tag)
        return; /* a tag that is not in the window: ignored */
    for (uint64_t each = multiple ? publisher->oldest_tag : tag; each <= tag; each++)
        end_message(publisher, each, acked);
    while (publisher->oldest_tag < publisher->next_tag &&
           !publisher->slots[publisher->oldest_tag % publisher->window].held)
        publisher->oldest_tag++;
}

static void mark_returned(struct publisher *publisher, const amqp_basic_properties_t *properties)
{
    char text[TAG_TEXT_BYTES];
    snprintf(text, sizeof text, "%.*s", (int)properties->message_id.len,
        (const char *)properties->message_id.bytes);
    uint64_t tag = strtoull(text, NULL, 10);
    publisher->returned++;
    if (tag >= publisher->oldest_tag && tag < publisher->next_tag)
        publisher->slots[tag % publisher->window].returned = true;
}

/* The connection has failed: all requests from now on are answered 503. */
static void break_off(struct publisher *publisher, const char *why)
{
    if (publisher->broken)
        return;
    publisher->broken = true;
    h2o_socket_read_stop(publisher->socket);
    if (!atomic_load(&publisher->ceiling->ending))
        ceiling_complain("the broker's connection is lost: %s", why);
    if (publisher->oldest_tag < publisher->next_tag)
        end_up_to(publisher, publisher->next_tag - 1, false, true);
    while (!list_is_empty(&publisher->waiting)) {
        struct held_publish *held = LIST_TAKE_FIRST(&publisher->waiting, struct held_publish, link);
        held_answer(&held->super, 503, NULL, 0);
    }
}

static void work_on_frame(struct publisher *publisher, const amqp_frame_t *frame)
{
    if (frame->frame_type == AMQP_FRAME_HEADER && publisher->returning) {
        publisher->returning = false;
        mark_returned(publisher, frame->payload.properties.decoded);
    }
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return; /* the body of a returned message, a heartbeat */
    switch (frame->payload.method.id) {
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *ack = frame->payload.method.decoded;
        end_up_to(publisher, ack->delivery_tag, true, ack->multiple);
        break;
    }
    case AMQP_BASIC_NACK_METHOD: {
        const amqp_basic_nack_t *nack = frame->payload.method.decoded;
        publisher->nacks++;
        end_up_to(publisher, nack->delivery_tag, false, nack->multiple);
        break;
    }
    case AMQP_BASIC_RETURN_METHOD:
        publisher->returning = true;
        break;
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
        break_off(publisher, "the broker closed it");
    }
}

static void read_frames(struct publisher *publisher)
{
    static const struct timeval at_once = {0, 0};
    while (!publisher->broken) {
        amqp_frame_t frame;
        int status = amqp_simple_wait_frame_noblock(publisher->link.connection, &frame, &at_once);
        if (status == AMQP_STATUS_TIMEOUT)
            return;
        if (status != AMQP_STATUS_OK) {
            break_off(publisher, amqp_error_string2(status));
            return;
        }
        work_on_frame(publisher, &frame);
        amqp_maybe_release_buffers(publisher->link.connection);
    }
}

/* Returns whether the socket takes a message of this size without blocking. The last known room is
 * a lower bound: only our own writes reduce it. */
static bool socket_takes(struct publisher *publisher, size_t body_len)
{
    size_t needed = body_len + MESSAGE_OVERHEAD_BYTES;
    if (publisher->send_room < needed) {
        int queued;
        if (ioctl(publisher->link.fd, SIOCOUTQ, &queued) != 0)
            return false;
        publisher->send_room =
            publisher->send_limit > (size_t)queued ? publisher->send_limit - (size_t)queued : 0;
    }
    return publisher->send_room >= needed;
}

/* The properties of src/broker/message.c, with values as long as the load generator's. */
static void add_properties(amqp_basic_properties_t *properties)
{
#define TEXT_HEADER(name, text)                                       \
    {                                                                 \
        .key = {.len = sizeof(name) - 1, .bytes = (name)}, .value = { \
            .kind = AMQP_FIELD_KIND_UTF8,                             \
            .value.bytes = {.len = sizeof(text) - 1, .bytes = (text)} \
        }                                                             \
    }
    static amqp_table_entry_t headers[] = {
        {.key = {.len = 6, .bytes = "format"},
            .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = 1}},
        TEXT_HEADER("account", "acc_12"),
        TEXT_HEADER("partner", "partner_bench"),
        TEXT_HEADER("class", "standard"),
        {.key = {.len = 11, .bytes = "received_us"},
            .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = 1790000000000000}},
        TEXT_HEADER("key", "0123456789abcdef"),
    };
#undef TEXT_HEADER
    properties->_flags |= AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_TIMESTAMP_FLAG |
                          AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_HEADERS_FLAG;
    properties->content_type = amqp_cstring_bytes("application/json");
    properties->timestamp = 1790000000;
    properties->type = amqp_cstring_bytes("purchase");
    properties->app_id = amqp_cstring_bytes("penstock");
    properties->headers = (amqp_table_t){.num_entries = ARRAY_LENGTH(headers), .entries = headers};
}

static void publish(struct publisher *publisher, struct held *held)
{
    uint64_t tag = publisher->next_tag++;
    char message_id[MESSAGE_ID_BYTES];
    bool with_properties = publisher->ceiling->options.with_properties;
    snprintf(message_id, sizeof message_id, with_properties ? "%040llu" : "%llu",
        (unsigned long long)tag);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .message_id = amqp_cstring_bytes(message_id),
    };
    if (with_properties)
        add_properties(&properties);
    amqp_bytes_t body = {.len = held->req->entity.len, .bytes = held->req->entity.base};
    publisher->send_room -= body.len + MESSAGE_OVERHEAD_BYTES;
    publisher->slots[tag % publisher->window] = (struct slot){.held = held};
    int status = amqp_basic_publish(publisher->link.connection, BROKER_CHANNEL, amqp_empty_bytes,
        publisher->queue_name, 1, 0, &properties, body);
    if (status != AMQP_STATUS_OK)
        break_off(publisher, amqp_error_string2(status));
}

static void publish_waiting(struct publisher *publisher)
{
    while (!list_is_empty(&publisher->waiting)) {
        struct held_publish *held =
            CONTAINER_OF(publisher->waiting.next, struct held_publish, link);
        if (!held->super.req) { /* its client has left */
            list_remove(&held->link);
            held_drop(&held->super);
            continue;
        }
        if (publisher->next_tag - publisher->oldest_tag >= publisher->window ||
            !socket_takes(publisher, held->super.req->entity.len))
            return;
        list_remove(&held->link);
        publish(publisher, &held->super);
    }
}

static void pump(struct publisher *publisher)
{
    amqp_connection_state_t connection = publisher->link.connection;
    do {
        read_frames(publisher);
        publish_waiting(publisher);
        /* A publish reads too. Frames that it has read are in the library, so the socket is not
         * readable for them. */
    } while (!publisher->broken &&
             (amqp_frames_enqueued(connection) || amqp_data_in_buffer(connection)));
}

static void on_broker_ready(h2o_socket_t *socket, const char *error)
{
    pump(socket->data);
}

static void on_turn(h2o_timeout_entry_t *entry)
{
    pump(CONTAINER_OF(entry, struct publisher, turn));
}

int publish_on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    struct publisher *publisher = server_loop_of(req)->data;
    publisher->super.counts.requests++;
    if (!ceiling_is_post(req) || publisher->broken) {
        ceiling_answer(&publisher->super, req, ceiling_is_post(req) ? 503 : 405, NULL, 0);
        return 0;
    }
    struct held_publish *held = malloc(sizeof *held);
    if (!held)
        abort();
    held_init(&held->super, &publisher->super, req);
    list_add_tail(&publisher->waiting, &held->link);
    if (!h2o_timeout_is_linked(&publisher->turn)) {
        struct server_loop *loop = publisher->super.server_loop;
        h2o_timeout_link(loop->loop, &loop->context.zero_timeout, &publisher->turn);
    }
    return 0;
}

/* Reads the size of the socket's buffer. The system may have made it smaller than requested. */
static enum err find_send_limit(struct publisher *publisher)
{
    int bytes;
    socklen_t len = sizeof bytes;
    if (getsockopt(publisher->link.fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len) != 0)
        return ERR_SYSTEM;
    publisher->send_limit = (size_t)bytes / SEND_BUFFER_SHARE;
    if (publisher->send_limit >= BODY_BYTES_MAX + MESSAGE_OVERHEAD_BYTES)
        return OK;
    ceiling_complain(
        "net.core.wmem_max is too small: the send buffer cannot hold the largest body");
    return ERR_SYSTEM;
}

enum err publish_on_start(struct server_loop *loop, void *context)
{
    struct ceiling *ceiling = context;
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher)
        return ERR_NO_MEMORY;
    publisher->super.server_loop = loop;
    publisher->ceiling = ceiling;
    publisher->turn.cb = on_turn;
    publisher->queue_name = amqp_cstring_bytes(ceiling->options.queue_name);
    publisher->next_tag = publisher->oldest_tag = 1;
    publisher->window = ceiling->options.window;
    publisher->slots = calloc(publisher->window, sizeof *publisher->slots);
    list_init(&publisher->waiting);
    loop->data = publisher;
    enum err result =
        publisher->slots ? broker_link_open(&ceiling->options, &publisher->link) : ERR_NO_MEMORY;
    if (!result)
        result = find_send_limit(publisher);
    if (result)
        return result;
    amqp_confirm_select(publisher->link.connection, BROKER_CHANNEL);
    if (broker_link_failed(&publisher->link, "confirms cannot be switched on"))
        return ERR_UNAVAILABLE;
    publisher->socket =
        h2o_evloop_socket_create(loop->loop, dup(publisher->link.fd), H2O_SOCKET_FLAG_DONT_READ);
    publisher->socket->data = publisher;
    h2o_socket_read_start(publisher->socket, on_broker_ready);
    return OK;
}

void publish_cut(struct ceiling *ceiling, struct server *server)
{
    for (unsigned i = 0; i < ceiling->options.threads; i++) {
        struct publisher *publisher = server_loop_at(server, i)->data;
        shutdown(publisher->link.fd, SHUT_RDWR);
    }
}

void publish_close(struct ceiling *ceiling, struct server *server)
{
    uint64_t published = 0, confirmed = 0, nacks = 0, returned = 0;
    for (unsigned i = 0; i < ceiling->options.threads; i++) {
        struct publisher *publisher = server_loop_at(server, i)->data;
        published += publisher->next_tag - 1;
        confirmed += publisher->confirmed;
        nacks += publisher->nacks;
        returned += publisher->returned;
        for (unsigned slot = 0; slot < publisher->window; slot++)
            if (publisher->slots[slot].held)
                held_drop(publisher->slots[slot].held);
        while (!list_is_empty(&publisher->waiting))
            held_drop(&LIST_TAKE_FIRST(&publisher->waiting, struct held_publish, link)->super);
        free(publisher->slots);
        broker_link_close(&publisher->link);
    }
    fprintf(stderr, " published=%llu confirmed=%llu nacks=%llu returned=%llu",
        (unsigned long long)published, (unsigned long long)confirmed, (unsigned long long)nacks,
        (unsigned long long)returned);
}

const struct ceiling_kind ceiling_publish = {.name = "publish",
    .doc = "publishes every POST to a durable quorum queue and waits for the broker's confirm",
    .needs_broker = true,
    .open = broker_link_empty_queue,
    .on_start = publish_on_start,
    .on_request = publish_on_request,
    .cut = publish_cut,
    .close = publish_close};
