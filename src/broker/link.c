/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One reading handles what one recv returns. The host is level-triggered, so the rest in the kernel
 * is reported again, and a fast broker does not block the loop. Frames that stay in the library
 * (too many for one reading, or the owner stopped reading) are handled at the end of the turn.
 *
 * Functions that put frames report no error: on_dead runs later from the loop, never within a call
 * of the owner. The exceptions are broker_link_flush and broker_link_tick.
 */
#include "broker/link.h"

#include "base/clock.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define FRAME_HEAD_BYTES 7
#define FRAME_OVERHEAD_BYTES (FRAME_HEAD_BYTES + 1)
#define CONTENT_HEAD_BYTES 12            /* class, weight, size of the body */
#define METHOD_BYTES_MAX 1024            /* a sent method has at most three short strings */
#define PROPERTIES_BYTES_MAX 4096        /* message_internal.h limits the headers */
#define READ_FRAMES_MAX 1024             /* per reading: about a millisecond */
#define FLUSH_BYTES_MAX (1024 * 1024)    /* per flush: with TLS about a millisecond */
#define OUT_KEPT_BYTES_MAX (1024 * 1024) /* a larger buffer is freed when it is empty */

static void on_turn_end(void *context);

static void enter(struct broker_link *link)
{
    link->calls++;
}

static void destroy(struct broker_link *link)
{
    buffer_done(&link->out);
    /* Closes the socket, which is non-blocking and does not linger. With TLS it tries once to send
     * close_notify. */
    amqp_destroy_connection(link->connection);
    free(link);
}

static void leave(struct broker_link *link)
{
    if (--link->calls == 0 && link->free_is_due)
        destroy(link);
}

static void detach(struct broker_link *link)
{
    struct broker_host *host = TAKE(link->host);
    if (!host)
        return;
    host->ops->at_turn_end(host, NULL, NULL);
    host->ops->unwatch(host);
}

/* Every connection that ends by an error ends here. */
static __attribute__((format(printf, 2, 3))) void die(
    struct broker_link *link, const char *format, ...)
{
    if (link->dead)
        return;
    link->dead = true;
    detach(link);
    char why[BROKER_DETAIL_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    link->on_dead(link, why);
}

/* Work may become due within on_turn_end as well, so `turn_end_is_asked` is separate from the two
 * flags. */
static void call_at_turn_end(struct broker_link *link, bool *is_due)
{
    *is_due = true;
    if (link->turn_end_is_asked)
        return;
    link->turn_end_is_asked = true;
    link->host->ops->at_turn_end(link->host, on_turn_end, link);
}

/* Frames out */

size_t broker_link_unsent(const struct broker_link *link)
{
    return link->out.len - link->out_done;
}

static size_t frame_begin(
    unsigned char *at, uint8_t type, amqp_channel_t channel, size_t payload_bytes)
{
    uint16_t channel_be = htobe16(channel);
    uint32_t bytes_be = htobe32((uint32_t)payload_bytes);
    at[0] = type;
    memcpy(at + 1, &channel_be, sizeof channel_be);
    memcpy(at + 3, &bytes_be, sizeof bytes_be);
    return FRAME_HEAD_BYTES;
}

/* Returns the length of the frame, or 0 if it cannot be encoded. */
static size_t encode_method(
    unsigned char *at, amqp_channel_t channel, amqp_method_number_t id, void *decoded)
{
    uint32_t id_be = htobe32(id);
    unsigned char *payload = at + FRAME_HEAD_BYTES;
    memcpy(payload, &id_be, sizeof id_be);
    int len = amqp_encode_method(
        id, decoded, (amqp_bytes_t){.len = METHOD_BYTES_MAX, .bytes = payload + sizeof id_be});
    if (len < 0)
        return 0;
    size_t payload_bytes = sizeof id_be + (size_t)len;
    frame_begin(at, AMQP_FRAME_METHOD, channel, payload_bytes);
    payload[payload_bytes] = AMQP_FRAME_END;
    return payload_bytes + FRAME_OVERHEAD_BYTES;
}

static size_t encode_header(unsigned char *at, amqp_channel_t channel,
    const amqp_basic_properties_t *properties, size_t body_bytes)
{
    unsigned char *payload = at + FRAME_HEAD_BYTES;
    uint16_t class_be = htobe16(AMQP_BASIC_CLASS), weight = 0;
    uint64_t body_be = htobe64(body_bytes);
    memcpy(payload, &class_be, sizeof class_be);
    memcpy(payload + 2, &weight, sizeof weight);
    memcpy(payload + 4, &body_be, sizeof body_be);
    int len = amqp_encode_properties(AMQP_BASIC_CLASS, (void *)properties,
        (amqp_bytes_t){.len = PROPERTIES_BYTES_MAX, .bytes = payload + CONTENT_HEAD_BYTES});
    if (len < 0)
        return 0;
    size_t payload_bytes = CONTENT_HEAD_BYTES + (size_t)len;
    frame_begin(at, AMQP_FRAME_HEADER, channel, payload_bytes);
    payload[payload_bytes] = AMQP_FRAME_END;
    return payload_bytes + FRAME_OVERHEAD_BYTES;
}

/* Makes room before an addition: drops the bytes already sent, if they are the larger part. */
static void out_begin(struct broker_link *link)
{
    if (link->out_done == 0 || link->out_done < link->out.len / 2)
        return;
    memmove(link->out.data, link->out.data + link->out_done, link->out.len - link->out_done);
    link->out.len -= link->out_done;
    link->out_done = 0;
}

static void out_end(struct broker_link *link)
{
    if (!link->flush_is_due && !link->write_is_wanted && link->host)
        call_at_turn_end(link, &link->flush_is_due);
}

/* `len` 0: the frame could not be encoded. Then the buffer counts as failed, as without memory,
 * because half a message must not be sent. */
static void out_add(struct broker_link *link, const unsigned char *frame, size_t len)
{
    if (len > 0)
        buffer_add(&link->out, frame, len);
    else
        link->out.failed = true;
}

void broker_link_put_method(
    struct broker_link *link, amqp_channel_t channel, amqp_method_number_t id, void *decoded_method)
{
    if (link->dead)
        return;
    unsigned char frame[FRAME_OVERHEAD_BYTES + sizeof id + METHOD_BYTES_MAX];
    out_begin(link);
    out_add(link, frame, encode_method(frame, channel, id, decoded_method));
    out_end(link);
}

void broker_link_put_message(struct broker_link *link, amqp_channel_t channel,
    const amqp_basic_publish_t *publish, const amqp_basic_properties_t *properties,
    struct slice body)
{
    if (link->dead)
        return;
    unsigned char head[2 * FRAME_OVERHEAD_BYTES + sizeof(amqp_method_number_t) + METHOD_BYTES_MAX +
                       CONTENT_HEAD_BYTES + PROPERTIES_BYTES_MAX + FRAME_HEAD_BYTES];
    size_t method_len = encode_method(head, channel, AMQP_BASIC_PUBLISH_METHOD, (void *)publish);
    size_t header_len = encode_header(head + method_len, channel, properties, body.len);
    out_begin(link);
    out_add(link, head, method_len && header_len ? method_len + header_len : 0);
    size_t part_max = link->frame_bytes_max - FRAME_OVERHEAD_BYTES;
    for (size_t at = 0; at < body.len;) {
        size_t part = body.len - at < part_max ? body.len - at : part_max;
        unsigned char begin[FRAME_HEAD_BYTES];
        buffer_add(&link->out, begin, frame_begin(begin, AMQP_FRAME_BODY, channel, part));
        buffer_add(&link->out, body.data + at, part);
        buffer_add_char(&link->out, (char)AMQP_FRAME_END);
        at += part;
    }
    out_end(link);
}

static void put_heartbeat(struct broker_link *link)
{
    unsigned char frame[FRAME_OVERHEAD_BYTES];
    frame_begin(frame, AMQP_FRAME_HEARTBEAT, 0, 0);
    frame[FRAME_HEAD_BYTES] = AMQP_FRAME_END;
    out_begin(link);
    out_add(link, frame, sizeof frame);
    out_end(link);
}

enum taken { TAKEN, TAKEN_NOT_NOW, TAKEN_AFTER_READING, TAKEN_NEVER };

static enum taken write_tls(struct broker_link *link, const char *data, size_t len, size_t *ret_len)
{
    ERR_clear_error();
    int written = SSL_write(link->ssl, data, len > INT_MAX ? INT_MAX : (int)len);
    if (written > 0) {
        *ret_len = (size_t)written;
        return TAKEN;
    }
    switch (SSL_get_error(link->ssl, written)) {
    case SSL_ERROR_WANT_WRITE:
        return TAKEN_NOT_NOW;
    case SSL_ERROR_WANT_READ:
        return TAKEN_AFTER_READING;
    default:
        return TAKEN_NEVER;
    }
}

static enum taken write_some(
    struct broker_link *link, const char *data, size_t len, size_t *ret_len)
{
    if (link->ssl)
        return write_tls(link, data, len, ret_len);
    ssize_t written = send(link->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written >= 0) {
        *ret_len = (size_t)written;
        return TAKEN;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? TAKEN_NOT_NOW : TAKEN_NEVER;
}

static void out_empty(struct broker_link *link)
{
    if (link->out.capacity > OUT_KEPT_BYTES_MAX)
        buffer_done(&link->out);
    else
        buffer_clear(&link->out);
    link->out_done = 0;
}

/* Sends what the socket takes, up to a limit. The rest follows when the socket is writable. (A TLS
 * write that is repeated must not be shorter than before. It starts at the same byte, with as much
 * or more.) */
static void flush(struct broker_link *link)
{
    if (buffer_status(&link->out)) {
        die(link, "out of memory for the data to send");
        return;
    }
    enum taken taken = TAKEN;
    size_t done_max = link->out_done + FLUSH_BYTES_MAX;
    while (taken == TAKEN && link->out_done < link->out.len && link->out_done < done_max) {
        size_t len = 0;
        size_t end = link->out.len < done_max ? link->out.len : done_max;
        taken = write_some(link, link->out.data + link->out_done, end - link->out_done, &len);
        link->out_done += len;
        if (len > 0)
            link->sent_mono_us = clock_mono_us();
    }
    if (taken == TAKEN_NEVER) {
        die(link, "the connection broke during a write: %s", link->ssl ? "TLS" : strerror(errno));
    } else if (link->out_done == link->out.len) {
        out_empty(link);
    } else if (taken != TAKEN_AFTER_READING) {
        link->write_is_wanted = true;
        link->host->ops->want_write(link->host);
    }
}

void broker_link_flush(struct broker_link *link)
{
    if (link->dead || !link->host)
        return;
    enter(link);
    flush(link);
    leave(link);
}

/* Frames in */

static bool has_frames(struct broker_link *link)
{
    return amqp_frames_enqueued(link->connection) || amqp_data_in_buffer(link->connection) ||
           (link->ssl && SSL_pending(link->ssl) > 0);
}

static bool has_bytes_in_kernel(const struct broker_link *link)
{
    int bytes = 0;
    return ioctl(link->fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

static void on_connection_close(struct broker_link *link, const amqp_connection_close_t *close)
{
    broker_link_put_method(
        link, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &(amqp_connection_close_ok_t){0});
    flush(link);
    struct slice text = slice_of(close->reply_text.bytes, close->reply_text.len);
    die(link, "the broker closed the connection: %u %.*s", close->reply_code, SLICE_ARGS(text));
}

static void take_frame(struct broker_link *link, const amqp_frame_t *frame)
{
    if (frame->channel == 0 && frame->frame_type == AMQP_FRAME_METHOD) {
        switch (frame->payload.method.id) {
        case AMQP_CONNECTION_BLOCKED_METHOD:
            link->blocked = true;
            break;
        case AMQP_CONNECTION_UNBLOCKED_METHOD:
            link->blocked = false;
            break;
        case AMQP_CONNECTION_CLOSE_METHOD:
            on_connection_close(link, frame->payload.method.decoded);
            return;
        default:
            break;
        }
    }
    link->on_frame(link, frame);
}

static void read_frames(struct broker_link *link)
{
    unsigned taken = 0;
    int status;
    do {
        amqp_frame_t frame;
        status = amqp_simple_wait_frame_noblock(link->connection, &frame, &(struct timeval){0});
        if (status != AMQP_STATUS_OK)
            break;
        taken++;
        take_frame(link, &frame);
        amqp_maybe_release_buffers(link->connection);
    } while (!link->dead && link->reading && taken < READ_FRAMES_MAX && has_frames(link));
    if (taken > 0 && !link->dead && link->on_frames_done)
        link->on_frames_done(link);
    if (link->dead)
        return;
    if (status != AMQP_STATUS_OK && status != AMQP_STATUS_TIMEOUT)
        die(link, "the connection broke: %s", amqp_error_string2(status));
    else if (link->reading && !link->read_is_due && has_frames(link))
        call_at_turn_end(link, &link->read_is_due);
}

static void on_ready(struct broker_watch *watch)
{
    struct broker_link *link = CONTAINER_OF(watch, struct broker_link, watch);
    enter(link);
    bool perhaps_for_writing = link->write_is_wanted;
    link->write_is_wanted = false;
    if (link->reading) {
        if (!perhaps_for_writing || has_bytes_in_kernel(link))
            link->heard_mono_us = clock_mono_us();
        read_frames(link);
    }
    if (!link->dead && !link->flush_is_due && broker_link_unsent(link) > 0)
        flush(link);
    leave(link);
}

static void on_turn_end(void *context)
{
    struct broker_link *link = context;
    enter(link);
    link->turn_end_is_asked = false;
    bool read_is_due = link->read_is_due && link->reading;
    link->read_is_due = false;
    if (read_is_due)
        read_frames(link);
    bool flush_is_due = link->flush_is_due;
    link->flush_is_due = false;
    if (!link->dead && flush_is_due)
        flush(link);
    leave(link);
}

void broker_link_set_reading(struct broker_link *link, bool reading)
{
    if (link->dead || !link->host || link->reading == reading)
        return;
    link->reading = reading;
    link->host->ops->set_reading(link->host, reading);
    if (reading && !link->read_is_due && has_frames(link))
        call_at_turn_end(link, &link->read_is_due);
}

void broker_link_tick(struct broker_link *link, int64_t now_mono_us)
{
    if (link->dead || !link->host || link->heartbeat_s == 0)
        return;
    int64_t heartbeat_us = link->heartbeat_s * US_PER_SECOND;
    int64_t silence_us_max = link->silence_us_max ? link->silence_us_max : 2 * heartbeat_us;
    enter(link);
    if (now_mono_us - link->sent_mono_us >= heartbeat_us / 2 && broker_link_unsent(link) == 0)
        put_heartbeat(link);
    /* If the thread was blocked or did not read, the broker's bytes are still in the kernel. */
    if (now_mono_us - link->heard_mono_us > silence_us_max) {
        if (has_bytes_in_kernel(link))
            link->heard_mono_us = now_mono_us;
        else
            die(link, "the broker sent nothing for %d ms", (int)(silence_us_max / US_PER_MS));
    }
    leave(link);
}

enum err broker_link_attach(struct broker_link *link, struct broker_host *host)
{
    int flags = fcntl(link->fd, F_GETFL);
    if (flags < 0 || fcntl(link->fd, F_SETFL, flags | O_NONBLOCK))
        return ERR_SYSTEM;
    link->watch = (struct broker_watch){.fd = link->fd, .on_ready = on_ready};
    enum err err = host->ops->watch(host, &link->watch);
    if (err)
        return err;
    link->host = host;
    link->reading = true;
    link->heard_mono_us = link->sent_mono_us = clock_mono_us();
    /* Frames that came together with the last answer to the connector. */
    if (has_frames(link))
        call_at_turn_end(link, &link->read_is_due);
    return OK;
}

void broker_link_free(struct broker_link *link)
{
    if (!link || link->free_is_due)
        return;
    /* Sends connection.close and the acks of this turn, as far as the socket takes them at once. */
    if (link->host && !link->dead) {
        broker_link_put_method(link, 0, AMQP_CONNECTION_CLOSE_METHOD,
            &(amqp_connection_close_t){
                .reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("bye")});
        size_t taken;
        if (!link->out.failed)
            (void)write_some(
                link, link->out.data + link->out_done, broker_link_unsent(link), &taken);
    }
    link->dead = true;
    detach(link);
    link->free_is_due = true;
    if (link->calls == 0)
        destroy(link);
}
