/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int client_connect(const struct fixture *fixture)
{
    int fd = socket(fixture->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = WAIT_SECONDS_MAX};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    /* Without it, the second of two small writes waits 40 ms for a delayed acknowledgement. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    cr_assert_eq(connect(fd, (const struct sockaddr *)&fixture->address, fixture->address_len), 0);
    return fd;
}

void client_send_bytes(int fd, const void *bytes, size_t len)
{
    /* If the server has already closed, the reader notices it. */
    for (size_t done = 0; done < len;) {
        ssize_t sent = send(fd, (const char *)bytes + done, len - done, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        done += (size_t)sent;
    }
}

void client_send(int fd, const char *text)
{
    client_send_bytes(fd, text, strlen(text));
}

static ssize_t receive(int fd, void *bytes, size_t len)
{
    ssize_t got = recv(fd, bytes, len, 0);
    cr_assert(got >= 0 || errno == ECONNRESET, "nothing came: %s", strerror(errno));
    return got > 0 ? got : 0;
}

static bool receive_all(int fd, void *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = receive(fd, (char *)bytes + done, len - done);
        if (got == 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

void client_read_head(int fd, struct answer *ret_answer)
{
    *ret_answer = (struct answer){0};
    for (size_t len = 0; !strstr(ret_answer->head, "\r\n\r\n"); len++) {
        cr_assert_lt(len, sizeof ret_answer->head - 1);
        if (!receive_all(fd, ret_answer->head + len, 1))
            return;
    }
    cr_assert_eq(sscanf(ret_answer->head, "HTTP/1.1 %d", &ret_answer->status), 1);
}

void client_read_answer(int fd, struct answer *ret_answer)
{
    client_read_head(fd, ret_answer);
    const char *length = strstr(ret_answer->head, "\r\nContent-Length: ");
    if (!length)
        return;
    ret_answer->body_len = strtoul(strchr(length, ':') + 1, NULL, 10);
    cr_assert_lt(ret_answer->body_len, sizeof ret_answer->body);
    cr_assert(receive_all(fd, ret_answer->body, ret_answer->body_len));
}

void client_ask(int fd, const char *request, struct answer *ret_answer)
{
    client_send(fd, request);
    client_read_answer(fd, ret_answer);
}

bool client_is_at_end(int fd)
{
    char byte;
    return receive(fd, &byte, 1) == 0;
}

void h2_send_frame(
    int fd, unsigned type, unsigned flags, unsigned stream, const void *payload, size_t len)
{
    unsigned char frame[9 + 16384] = {(unsigned char)(len >> 16), (unsigned char)(len >> 8),
        (unsigned char)len, (unsigned char)type, (unsigned char)flags,
        (unsigned char)(stream >> 24), (unsigned char)(stream >> 16), (unsigned char)(stream >> 8),
        (unsigned char)stream};
    cr_assert_leq(len, 16384);
    if (len)
        memcpy(frame + 9, payload, len);
    client_send_bytes(fd, frame, 9 + len);
}

/* The tables of the connections that are open, by descriptor. */
static nghttp2_hd_inflater *inflaters[1024];

static void new_inflater(int fd)
{
    cr_assert_lt((size_t)fd, ARRAY_LENGTH(inflaters));
    if (inflaters[fd])
        nghttp2_hd_inflate_del(inflaters[fd]);
    cr_assert_eq(nghttp2_hd_inflate_new(&inflaters[fd]), 0);
}

/* Reads a whole header block. Returns its status, or 0. */
static int inflate_status(int fd, unsigned char *block, size_t len)
{
    int status = 0, flags = 0;
    if (!inflaters[fd])
        new_inflater(fd);
    do {
        nghttp2_nv field;
        ssize_t used = nghttp2_hd_inflate_hd2(inflaters[fd], &field, &flags, block, len, 1);
        cr_assert_geq(used, 0);
        block += used;
        len -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT && field.namelen == 7 &&
            memcmp(field.name, ":status", 7) == 0)
            status = atoi((const char *)field.value);
    } while (!(flags & NGHTTP2_HD_INFLATE_FINAL));
    nghttp2_hd_inflate_end_headers(inflaters[fd]);
    return status;
}

int h2_connect(const struct fixture *fixture)
{
    int fd = client_connect(fixture);
    new_inflater(fd);
    client_send(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    h2_send_frame(fd, H2_SETTINGS, 0, 0, NULL, 0);
    return fd;
}

static size_t put_text(unsigned char *at, const char *text)
{
    size_t len = strlen(text);
    cr_assert_lt(len, 127);
    *at = (unsigned char)len;
    memcpy(at + 1, text, len);
    return len + 1;
}

/* Literals with new names, not added to the table. */
static size_t put_fields(unsigned char *at, const struct h2_field *fields)
{
    size_t len = 0;
    for (; fields && fields->name; fields++) {
        at[len++] = 0x00;
        len += put_text(at + len, fields->name);
        len += put_text(at + len, fields->value);
    }
    return len;
}

void h2_send_request_with(int fd, unsigned stream, const char *method, const char *path,
    bool has_body, const struct h2_field *fields)
{
    /* RFC 7541: 0x86 is `:scheme: http`; 0x01, 0x02 and 0x04 a literal for :authority, :method and
     * :path. */
    unsigned char block[1024] = {0x86};
    size_t len = 1;
    block[len++] = 0x02;
    len += put_text(block + len, method);
    block[len++] = 0x04;
    len += put_text(block + len, path);
    block[len++] = 0x01;
    len += put_text(block + len, "localhost");
    len += put_fields(block + len, fields);
    h2_send_frame(fd, H2_HEADERS, has_body ? 0x4 : 0x5, stream, block, len);
}

void h2_send_request(int fd, unsigned stream, const char *method, const char *path, bool has_body)
{
    h2_send_request_with(fd, stream, method, path, has_body, NULL);
}

void h2_send_trailer(int fd, unsigned stream, const struct h2_field *fields)
{
    unsigned char block[512];
    h2_send_frame(fd, H2_HEADERS, 0x5, stream, block, put_fields(block, fields));
}

void h2_send_data(int fd, unsigned stream, const void *data, size_t len, bool is_last)
{
    const size_t frame_max = 16384;
    do {
        size_t piece = len < frame_max ? len : frame_max;
        len -= piece;
        h2_send_frame(fd, H2_DATA, is_last && len == 0, stream, data, piece);
        data = (const char *)data + piece;
    } while (len > 0);
}

void h2_send_rst(int fd, unsigned stream)
{
    const unsigned char cancel[4] = {0, 0, 0, 8};
    h2_send_frame(fd, H2_RST_STREAM, 0, stream, cancel, sizeof cancel);
}

bool h2_read_frame(int fd, struct h2_frame *ret_frame)
{
    unsigned char head[9];
    if (!receive_all(fd, head, sizeof head))
        return false;
    ret_frame->len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    ret_frame->type = head[3];
    ret_frame->flags = head[4];
    ret_frame->stream = (unsigned)(head[5] & 0x7f) << 24 | (unsigned)head[6] << 16 |
                        (unsigned)head[7] << 8 | head[8];
    cr_assert_leq(ret_frame->len, sizeof ret_frame->payload);
    ret_frame->status = 0;
    if (!receive_all(fd, ret_frame->payload, ret_frame->len))
        return false;
    if (ret_frame->type == H2_HEADERS)
        ret_frame->status = inflate_status(fd, ret_frame->payload, ret_frame->len);
    return true;
}

bool h2_read_until(int fd, unsigned type, unsigned stream, struct h2_frame *ret_frame)
{
    while (h2_read_frame(fd, ret_frame))
        if (ret_frame->type == type && ret_frame->stream == stream)
            return true;
    return false;
}

int h2_read_status(int fd, unsigned stream)
{
    struct h2_frame frame;
    return h2_read_until(fd, H2_HEADERS, stream, &frame) ? frame.status : 0;
}
