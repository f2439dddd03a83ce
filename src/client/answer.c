/* SPDX-License-Identifier: Apache-2.0 */
#include "client/answer.h"

#include "client/retry_after.h"
#include "client/transfer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Time for the rest of an answer after its status is known. Longer for failures, because operators
 * need the excerpt. */
#define REST_US_2XX (1 * US_PER_SECOND)
#define REST_US_OTHER (5 * US_PER_SECOND)

/* Limits the time for the rest of the answer. */
static void bound_rest(struct client_transfer *transfer, int64_t rest_us)
{
    int64_t left_us = transfer_time_left_us(transfer, transfer->request->answer_timeout_us);
    timer_arm(transfer->loop, &transfer->deadline, rest_us < left_us ? rest_us : left_us);
}

/* Returns false for a line that libcurl accepts as a status line although it is none: it reads
 * "HTTP/abc" as 200. */
static bool begin_response(struct client_transfer *transfer, struct slice line)
{
    const char prefix[] = "HTTP/";
    size_t len = sizeof prefix - 1;
    const char *space = memchr(line.data, ' ', line.len);
    if (!space || line.len <= len || strncasecmp(line.data, prefix, len) != 0 ||
        !isdigit((unsigned char)line.data[len]))
        return false;
    /* A NUL follows the line, and libcurl has checked three digits. */
    transfer->status = atoi(space);
    transfer->in_headers = true;
    transfer->request->retry_after_us = 0;
    transfer->request->evidence.location[0] = '\0';
    return true;
}

static void end_headers(struct client_transfer *transfer)
{
    struct client_request *request = transfer->request;
    transfer->in_headers = false;
    if (transfer->status < 200)
        return;
    transfer->answered = true;
    multiplex_note_answer(transfer->multiplex, &transfer->stream, clock_mono_us());
    request->excerpt_len = 0; /* from here on it shows the body */
    if (transfer->status / 100 != 3)
        request->evidence.location[0] = '\0';
    if (!request->answer_wanted)
        bound_rest(transfer, transfer->status < 300 ? REST_US_2XX : REST_US_OTHER);
}

/* Returns whether the line is the field `name` ("retry-after:"), and its value. */
static bool is_field(struct slice line, const char *name, struct slice *ret_value)
{
    size_t len = strlen(name);
    if (line.len < len || strncasecmp(line.data, name, len) != 0)
        return false;
    *ret_value = slice_of(line.data + len, line.len - len);
    return true;
}

/* Of several fields the longest counts. */
static void note_retry_after(struct client_request *request, struct slice value)
{
    int64_t us = retry_after_parse(value, clock_wall_us());
    if (us > request->retry_after_us)
        request->retry_after_us = us;
}

/* A URL has no bytes outside printable ASCII. */
static void note_location(struct client_request *request, struct slice value)
{
    char *location = request->evidence.location;
    size_t len = 0;
    for (size_t i = 0; i < value.len && len + 1 < sizeof request->evidence.location; i++)
        if (value.data[i] > ' ' && value.data[i] < 0x7f)
            location[len++] = value.data[i];
    location[len] = '\0';
}

static void note_field(struct client_transfer *transfer, struct slice line)
{
    struct slice value;
    if (is_field(line, "retry-after:", &value))
        note_retry_after(transfer->request, value);
    else if (is_field(line, "location:", &value))
        note_location(transfer->request, value);
}

size_t answer_on_header_line(char *data, size_t size, size_t count, void *context)
{
    struct client_transfer *transfer = context;
    struct slice line = slice_of(data, size * count);
    evidence_note_answer(&transfer->evidence);
    if (!transfer->answered)
        evidence_show(&transfer->evidence, transfer->request, line);
    transfer->evidence.answer_head_bytes += line.len;
    if (transfer->evidence.answer_head_bytes > ANSWER_HEADER_BYTES_MAX)
        return 0;
    if (transfer->answered) /* trailers */
        return line.len;
    if (!transfer->in_headers) {
        transfer->not_http = !begin_response(transfer, line);
        return transfer->not_http ? 0 : line.len;
    }
    if (line.data[0] == '\r' || line.data[0] == '\n')
        end_headers(transfer);
    else
        note_field(transfer, line);
    return line.len;
}

/* Returns false if there is no room. */
static bool copy_answer(struct client_request *request, struct slice bytes)
{
    size_t room = request->answer_size - request->answer_len;
    request->answer_cut = bytes.len > room;
    size_t len = bytes.len < room ? bytes.len : room;
    memcpy(request->answer + request->answer_len, bytes.data, len);
    request->answer_len += len;
    return !request->answer_cut;
}

size_t answer_on_body(char *data, size_t size, size_t count, void *context)
{
    struct client_transfer *transfer = context;
    struct client_request *request = transfer->request;
    size_t len = size * count;
    evidence_note_answer(&transfer->evidence);
    if (!transfer->answered && !transfer->not_http) { /* CURLOPT_HTTP09_ALLOWED */
        transfer->not_http = true;
        bound_rest(transfer, REST_US_2XX);
    }
    evidence_show(&transfer->evidence, request, slice_of(data, len));
    transfer->evidence.answer_body_bytes += len;
    if (request->answer_wanted && transfer->answered)
        return copy_answer(request, slice_of(data, len)) ? len : 0;
    return transfer->evidence.answer_body_bytes > ANSWER_BODY_BYTES_MAX ? 0 : len;
}
