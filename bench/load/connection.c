/* SPDX-License-Identifier: Apache-2.0 */
#include "load/connection.h"

#include "base/clock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define READ_BYTES 65536
#define READS_PER_TURN 16
#define FRAME_BYTES_MAX \
    (16384 + 64) /* the largest that nghttp2 makes at once: SETTINGS_MAX_FRAME_SIZE and a header \
                  */
#define STREAMS_BEFORE_SETTINGS 100
#define ANSWER_BYTES_MAX (1024 * 1024)
#define REOPEN_AFTER_US (100 * US_PER_MS)
#define FIELDS_MAX (4 + POST_HEADERS_MAX + 1)

static void watch(struct connection *connection, uint32_t events)
{
    if (connection->watched == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = connection};
    epoll_ctl(connection->epoll_fd, connection->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
        connection->fd, &event);
    connection->watched = events;
}

static void end(struct connection *connection, struct sending *sending, enum load_end how)
{
    list_remove(&sending->link);
    sending->connection = NULL;
    connection->on_end(sending, how, connection->context);
}

static void connection_close(struct connection *connection, enum load_end how)
{
    if (connection->session)
        nghttp2_session_del(TAKE(connection->session));
    if (connection->ssl)
        SSL_free(TAKE(connection->ssl));
    if (connection->fd >= 0)
        close(TAKE_FD(connection->fd));
    connection->watched = 0;
    connection->stage = CONNECTION_CLOSED;
    connection->failed = connection->leaving = connection->closes = false;
    connection->out_at = connection->out_len = 0;
    connection->streams = 0;
    http1_reset(&connection->http1);
    connection->reopen_at_us = run_log_now_us() + REOPEN_AFTER_US;
    list_remove(&connection->in_dirty);
    while (!list_is_empty(&connection->sendings))
        end(connection, CONTAINER_OF(connection->sendings.next, struct sending, link), how);
}

/* --- called by nghttp2 --- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
    struct connection *connection = context;
    struct sending *sending = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    const struct post *post = connection->options->post;
    char text[16];
    if (sending && post && post->id.kind == SELECTOR_HEADER &&
        slice_equals_string(slice_of(name, name_len), post->id.name))
        run_log_id(slice_of(value, value_len), sending->id);
    if (!sending || value_len >= sizeof text)
        return 0;
    snprintf(text, sizeof text, "%.*s", (int)value_len, value);
    if (slice_equals_string(slice_of(name, name_len), ":status"))
        sending->status = atoi(text);
    else if (slice_equals_string(slice_of(name, name_len), "retry-after"))
        sending->retry_after_us = atoi(text) * US_PER_SECOND;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
    size_t len, void *context)
{
    struct sending *sending = nghttp2_session_get_stream_user_data(session, stream);
    if (sending && sending->answer.len + len <= ANSWER_BYTES_MAX)
        buffer_add(&sending->answer, data, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *context)
{
    struct connection *connection = context;
    struct sending *sending = nghttp2_session_get_stream_user_data(session, stream);
    connection->streams--;
    if (sending)
        end(connection, sending,
            sending->status && error == NGHTTP2_NO_ERROR ? LOAD_ANSWERED : LOAD_BROKEN);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct connection *connection = context;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        connection->leaving = true;
    return 0;
}

/* The first frame of a request is being made: this is the time at which it counts as sent. */
static int on_frame_begun(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct sending *sending =
        frame->hd.type == NGHTTP2_HEADERS
            ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id)
            : NULL;
    int64_t now_us = sending ? run_log_now_us() : 0;
    for (unsigned i = 0; sending && i < sending->records_count; i++)
        sending->records[i].sent_us = now_us;
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct sending *sending = nghttp2_session_get_stream_user_data(session, stream);
    if (!sending) /* given up before */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t left = sending->body.len - sending->body_at, len = left < room ? left : room;
    memcpy(buffer, sending->body.data + sending->body_at, len);
    sending->body_at += len;
    if (len == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

static bool is_http1(const struct connection *connection)
{
    return connection->options->post && connection->options->post->is_http1;
}

static bool begin_session(struct connection *connection)
{
    if (is_http1(connection))
        return true;
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return false;
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_before_frame_send_callback(callbacks, on_frame_begun);
    bool made = nghttp2_session_client_new(&connection->session, callbacks, connection) == 0;
    nghttp2_session_callbacks_del(callbacks);
    static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    return made &&
           nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 1) == 0;
}

/* --- opening and closing --- */

void connection_init(
    struct connection *connection, const struct load_options *options, int epoll_fd, SSL_CTX *tls)
{
    *connection =
        (struct connection){.options = options, .epoll_fd = epoll_fd, .tls = tls, .fd = -1};
    http1_init(&connection->http1, options->post);
    list_init(&connection->sendings);
    list_init(&connection->in_dirty);
}

void connection_done(struct connection *connection)
{
    connection_close(connection, LOAD_UNFINISHED);
    http1_done(&connection->http1);
    free(TAKE(connection->out));
}

void connection_open(struct connection *connection)
{
    const struct load_options *options = connection->options;
    connection->fd =
        socket(options->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (connection->fd >= 0)
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connection->fd < 0 || (connect(connection->fd, (const struct sockaddr *)&options->address,
                                   options->address_len) != 0 &&
                                  errno != EINPROGRESS)) {
        connection_close(connection, LOAD_BROKEN);
        return;
    }
    connection->stage = CONNECTION_CONNECTING;
    watch(connection, EPOLLOUT);
}

static void become_open(struct connection *connection)
{
    connection->stage = CONNECTION_OPEN;
    if (!connection->out)
        connection->out = malloc(CONNECTION_OUT_BYTES);
    if (connection->out && begin_session(connection))
        connection_flush(connection);
    else
        connection->failed = true;
}

static void shake_hands(struct connection *connection)
{
    ERR_clear_error();
    int result = SSL_connect(connection->ssl);
    if (result == 1) {
        const unsigned char *protocol = NULL;
        unsigned len = 0;
        SSL_get0_alpn_selected(connection->ssl, &protocol, &len);
        if (is_http1(connection) || slice_equals_string(slice_of(protocol, len), "h2"))
            become_open(connection);
        else
            connection->failed = true;
        return;
    }
    int wants = SSL_get_error(connection->ssl, result);
    if (wants == SSL_ERROR_WANT_READ || wants == SSL_ERROR_WANT_WRITE)
        watch(connection, wants == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
    else
        connection->failed = true;
}

static void on_connected(struct connection *connection)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error) {
        connection->failed = true;
        return;
    }
    if (!connection->tls) {
        become_open(connection);
        return;
    }
    connection->stage = CONNECTION_HANDSHAKING;
    connection->ssl = SSL_new(connection->tls);
    if (!connection->ssl || SSL_set_fd(connection->ssl, connection->fd) != 1 ||
        SSL_set_tlsext_host_name(connection->ssl, connection->options->host) != 1)
        connection->failed = true;
    else
        shake_hands(connection);
}

/* --- bytes: like read(2) and write(2); 0 means "not now", -1 means the end --- */

static ssize_t take_bytes(struct connection *connection, uint8_t *buffer)
{
    if (connection->ssl) {
        ERR_clear_error(); /* an error of another connection must not count for this one */
        int got = SSL_read(connection->ssl, buffer, READ_BYTES);
        if (got > 0)
            return got;
        return SSL_get_error(connection->ssl, got) == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    ssize_t got = recv(connection->fd, buffer, READ_BYTES, 0);
    if (got > 0)
        return got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t give_bytes(struct connection *connection)
{
    const uint8_t *data = connection->out + connection->out_at;
    size_t len = connection->out_len - connection->out_at;
    if (connection->ssl) {
        ERR_clear_error();
        int given = SSL_write(connection->ssl, data, (int)len);
        if (given > 0)
            return given;
        int wants = SSL_get_error(connection->ssl, given);
        return wants == SSL_ERROR_WANT_WRITE || wants == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    ssize_t given = send(connection->fd, data, len, MSG_NOSIGNAL);
    if (given >= 0)
        return given;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

/* Gives bytes of an answer, or the end (`len` 0), to HTTP/1.1. Returns false when the connection
 * has ended. */
static bool take_http1(struct connection *connection, const uint8_t *data, size_t len)
{
    enum http1_result result = http1_take(&connection->http1, data, len);
    bool keep = result == HTTP1_GOING_ON;
    if (result == HTTP1_ANSWERED)
        end(connection, http1_finish(&connection->http1, &keep), LOAD_ANSWERED);
    connection->closes = result == HTTP1_ANSWERED && !keep;
    connection->failed = connection->failed || !keep;
    return keep;
}

static bool take_answers(struct connection *connection, const uint8_t *data, ssize_t len)
{
    if (is_http1(connection))
        return take_http1(connection, data, len < 0 ? 0 : (size_t)len);
    bool taken = len > 0 && nghttp2_session_mem_recv(connection->session, data, (size_t)len) == len;
    connection->failed = connection->failed || !taken;
    return taken;
}

static void read_answers(struct connection *connection)
{
    uint8_t buffer[READ_BYTES];
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t got = take_bytes(connection, buffer);
        if (got == 0 || !take_answers(connection, buffer, got))
            return;
        if (got < READ_BYTES && !connection->ssl)
            return;
    }
}

/* Copies nghttp2's frames into our buffer, as many as fit for certain. Returns false when there are
 * none. */
static bool collect_frames(struct connection *connection)
{
    connection->out_at = connection->out_len = 0;
    if (is_http1(connection))
        connection->out_len = http1_give(&connection->http1, connection->out, CONNECTION_OUT_BYTES);
    while (!is_http1(connection) && connection->out_len + FRAME_BYTES_MAX <= CONNECTION_OUT_BYTES) {
        const uint8_t *frames;
        ssize_t made = nghttp2_session_mem_send(connection->session, &frames);
        if (made < 0 || made > FRAME_BYTES_MAX)
            connection->failed = true;
        if (made <= 0 || connection->failed)
            break;
        memcpy(connection->out + connection->out_len, frames, (size_t)made);
        connection->out_len += (size_t)made;
    }
    return connection->out_len > 0;
}

/* A server that closes each HTTP/1.1 connection after its answer is no failure: no pause. */
static void end_connection(struct connection *connection)
{
    bool closes = connection->closes;
    connection_close(connection, LOAD_BROKEN);
    if (closes)
        connection->reopen_at_us = run_log_now_us();
}

void connection_flush(struct connection *connection)
{
    while (connection->stage == CONNECTION_OPEN && !connection->failed) {
        if (connection->out_at == connection->out_len && !collect_frames(connection))
            break;
        ssize_t given = give_bytes(connection);
        if (given < 0)
            connection->failed = true;
        if (given <= 0)
            break;
        connection->out_at += (size_t)given;
    }
    bool over = connection->failed || (connection->leaving && list_is_empty(&connection->sendings));
    if (over)
        end_connection(connection);
    else if (connection->stage == CONNECTION_OPEN)
        watch(connection, connection->out_at < connection->out_len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void connection_on_ready(struct connection *connection, uint32_t events)
{
    switch (connection->stage) {
    case CONNECTION_CONNECTING:
        on_connected(connection);
        break;
    case CONNECTION_HANDSHAKING:
        shake_hands(connection);
        break;
    case CONNECTION_OPEN:
        read_answers(connection);
        break;
    case CONNECTION_CLOSED:
        return;
    }
    if (connection->stage == CONNECTION_OPEN || connection->failed)
        connection_flush(connection);
}

/* --- requests --- */

bool connection_has_room(const struct connection *connection)
{
    if (connection->stage != CONNECTION_OPEN || connection->leaving || connection->failed)
        return false;
    if (is_http1(connection))
        return http1_is_idle(&connection->http1);
    uint32_t max = nghttp2_session_get_remote_settings(
        connection->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return connection->streams < (max > STREAMS_BEFORE_SETTINGS ? STREAMS_BEFORE_SETTINGS : max);
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
        .namelen = strlen(name),
        .value = (uint8_t *)value,
        .valuelen = strlen(value)};
}

struct credentials {
    char bearer[512], path[128];
    char id[64], timestamp[24], signature[SIGNATURE_TEXT_BYTES];
};

/* Fills the header fields that authenticate the partner. Returns their number. */
static size_t sign(const struct load_options *options, const struct sending *sending,
    struct credentials *credentials, nghttp2_nv *ret_fields)
{
    if (!options->partner) {
        if (!options->api_key)
            return 0;
        snprintf(credentials->bearer, sizeof credentials->bearer, "Bearer %s", options->api_key);
        ret_fields[0] = field("authorization", credentials->bearer);
        return 1;
    }
    int64_t timestamp_s = run_log_now_us() / US_PER_SECOND;
    struct hmac *mac;
    if (hmac_new(slice_of(options->secret.bytes, options->secret.len), &mac) != OK)
        return 0;
    snprintf(credentials->id, sizeof credentials->id, "%s-%llu", options->mix.run,
        (unsigned long long)sending->records[0].original);
    snprintf(credentials->timestamp, sizeof credentials->timestamp, "%lld", (long long)timestamp_s);
    signature_make(mac, slice_from_string(credentials->id), timestamp_s,
        buffer_slice(&sending->body), credentials->signature);
    hmac_free(mac);
    ret_fields[0] = field("webhook-id", credentials->id);
    ret_fields[1] = field("webhook-timestamp", credentials->timestamp);
    ret_fields[2] = field("webhook-signature", credentials->signature);
    return 3;
}

static const char *path_of(const struct load_options *options, struct credentials *credentials)
{
    if (options->partner) {
        snprintf(credentials->path, sizeof credentials->path, "/v1/partners/%s/events",
            options->partner);
        return credentials->path;
    }
    return options->batch > 1 ? "/v1/events/batch" : "/v1/events";
}

static nghttp2_nv field_of(const char *name, struct slice value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
        .namelen = strlen(name),
        .value = (uint8_t *)value.data,
        .valuelen = value.len};
}

/* The header fields of a post (post.h). Returns their number. */
static size_t head_of_post(
    const struct load_options *options, const struct sending *sending, nghttp2_nv *ret_fields)
{
    const struct post *post = options->post;
    ret_fields[0] = field(":method", post->method);
    ret_fields[1] = field(":scheme", options->tls ? "https" : "http");
    ret_fields[2] = field(":authority", options->authority);
    ret_fields[3] = field_of(":path", post_head_part(&sending->head, 0));
    for (unsigned i = 0; i < post->headers_count; i++)
        ret_fields[4 + i] = field_of(post->headers[i].name, post_head_part(&sending->head, i + 1));
    return 4 + post->headers_count;
}

/* The header fields of a post to Penstock. Returns their number. */
static size_t head_of(const struct load_options *options, const struct sending *sending,
    struct credentials *credentials, nghttp2_nv *ret_fields)
{
    const char *type = options->batch > 1 ? "application/x-ndjson" : "application/json";
    ret_fields[0] = field(":method", "POST");
    ret_fields[1] = field(":scheme", options->tls ? "https" : "http");
    ret_fields[2] = field(":authority", options->authority);
    ret_fields[3] = field(":path", path_of(options, credentials));
    ret_fields[4] = field("content-type", type);
    return 5 + sign(options, sending, credentials, &ret_fields[5]);
}

static void submit(struct connection *connection, struct sending *sending)
{
    const struct load_options *options = connection->options;
    struct credentials credentials;
    nghttp2_nv fields[FIELDS_MAX];
    char length[24];
    snprintf(length, sizeof length, "%zu", sending->body.len);
    size_t count = options->post ? head_of_post(options, sending, fields)
                                 : head_of(options, sending, &credentials, fields);
    fields[count++] = field("content-length", length);
    nghttp2_data_provider body = {.read_callback = read_body};
    sending->stream =
        nghttp2_submit_request(connection->session, NULL, fields, count, &body, sending);
    if (sending->stream < 0)
        connection->failed = true; /* no memory or no stream id is left: open a new connection */
    else
        connection->streams++;
}

void connection_send(struct connection *connection, struct sending *sending)
{
    sending->body_at = 0;
    sending->status = 0;
    sending->retry_after_us = 0;
    memset(sending->id, 0, sizeof sending->id);
    buffer_clear(&sending->answer);
    list_add_tail(&connection->sendings, &sending->link);
    sending->connection = connection;
    if (is_http1(connection))
        http1_begin(&connection->http1, connection->options->authority, sending);
    else
        submit(connection, sending);
}

void connection_give_up(struct sending *sending)
{
    struct connection *connection = TAKE(sending->connection);
    list_remove(&sending->link);
    if (is_http1(connection)) {
        http1_reset(&connection->http1);
        connection->failed = true;
        return;
    }
    nghttp2_session_set_stream_user_data(connection->session, sending->stream, NULL);
    nghttp2_submit_rst_stream(
        connection->session, NGHTTP2_FLAG_NONE, sending->stream, NGHTTP2_CANCEL);
}
