/* SPDX-License-Identifier: Apache-2.0 */
#include "client/evidence.h"

#include <string.h>
#include <sys/socket.h>

void reach_begin(struct reach *reach, const struct client_request *request)
{
    *reach = (struct reach){0};
    for (unsigned i = 0; i < request->headers_count; i++)
        reach->request_lines_bytes += strlen(request->headers[i]) + strlen("\r\n");
}

static long written_bytes(CURL *easy)
{
    long bytes = 0;
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes;
}

static curl_off_t uploaded_bytes(CURL *easy)
{
    curl_off_t bytes = 0;
    curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &bytes);
    return bytes;
}

void reach_note_send(struct reach *reach, CURL *easy)
{
    reach->warm = !reach->socket_opened;
    reach->socket_opened = false;
    reach->earlier_bytes = written_bytes(easy);
    reach->body_bytes = 0;
}

void reach_note_loss(struct reach *reach, CURL *easy)
{
    curl_off_t bytes = uploaded_bytes(easy);
    if (bytes > reach->body_bytes)
        reach->body_bytes = bytes;
}

static void add_to_excerpt(struct client_request *request, struct slice bytes)
{
    size_t room = ANSWER_EXCERPT_BYTES_MAX - request->excerpt_len;
    size_t kept = bytes.len < room ? bytes.len : room;
    memcpy(request->excerpt + request->excerpt_len, bytes.data, kept);
    request->excerpt_len += (uint32_t)kept;
}

static size_t told_bytes(const struct reach *reach)
{
    return reach->answer_head_bytes + reach->answer_body_bytes;
}

void reach_look_ahead(struct reach *reach, struct client_request *request, int fd)
{
    char bytes[ANSWER_EXCERPT_BYTES_MAX];
    if (request->sends == 0 || told_bytes(reach) > 0)
        return;
    ssize_t got = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (got <= 0)
        return;
    add_to_excerpt(request, slice_of(bytes, (size_t)got));
    reach->ahead_bytes += (size_t)got;
}

void reach_show(const struct reach *reach, struct client_request *request, struct slice bytes)
{
    if (told_bytes(reach) == 0)
        request->excerpt_len = 0; /* libcurl reports the bytes that were seen ahead */
    add_to_excerpt(request, bytes);
}

void reach_report(const struct reach *reach, CURL *easy, struct client_request *request)
{
    request->reach = (struct attempt_reach){0};
    if (request->sends == 0)
        return;
    curl_off_t uploaded = uploaded_bytes(easy);
    size_t body = (size_t)(uploaded > reach->body_bytes ? uploaded : reach->body_bytes);
    size_t first = (size_t)(written_bytes(easy) - reach->earlier_bytes);
    size_t in_parts = body > 0 ? reach->request_lines_bytes + body : 0;
    size_t told = told_bytes(reach);
    request->reach = (struct attempt_reach){
        .warm = reach->warm,
        .request_complete = request->body.len > 0 ? body == request->body.len : first > 0,
        .request_bytes = (uint32_t)(first > in_parts ? first : in_parts),
        .answer_bytes = (uint32_t)(told > 0 ? told : reach->ahead_bytes),
    };
}
