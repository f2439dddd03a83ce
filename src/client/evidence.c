/* SPDX-License-Identifier: Apache-2.0 */
#include "client/evidence.h"

#include <string.h>
#include <sys/socket.h>

void evidence_begin(struct evidence *evidence, const struct client_request *request)
{
    *evidence = (struct evidence){0};
    for (unsigned i = 0; i < request->headers_count; i++)
        evidence->request_lines_bytes += strlen(request->headers[i]) + strlen("\r\n");
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

void evidence_note_send(struct evidence *evidence, CURL *easy)
{
    evidence->warm = !evidence->socket_opened;
    evidence->socket_opened = false;
    evidence->earlier_bytes = written_bytes(easy);
    evidence->body_bytes = 0;
}

void evidence_note_loss(struct evidence *evidence, CURL *easy)
{
    curl_off_t bytes = uploaded_bytes(easy);
    if (bytes > evidence->body_bytes)
        evidence->body_bytes = bytes;
}

static void add_to_excerpt(struct client_request *request, struct slice bytes)
{
    size_t room = ANSWER_EXCERPT_BYTES_MAX - request->excerpt_len;
    size_t kept = bytes.len < room ? bytes.len : room;
    memcpy(request->excerpt + request->excerpt_len, bytes.data, kept);
    request->excerpt_len += (uint32_t)kept;
}

static size_t told_bytes(const struct evidence *evidence)
{
    return evidence->answer_head_bytes + evidence->answer_body_bytes;
}

void evidence_look_ahead(struct evidence *evidence, struct client_request *request, int fd)
{
    char bytes[ANSWER_EXCERPT_BYTES_MAX];
    if (request->sends == 0 || told_bytes(evidence) > 0)
        return;
    ssize_t got = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (got <= 0)
        return;
    add_to_excerpt(request, slice_of(bytes, (size_t)got));
    evidence->ahead_bytes += (size_t)got;
}

void evidence_show(
    const struct evidence *evidence, struct client_request *request, struct slice bytes)
{
    if (told_bytes(evidence) == 0)
        request->excerpt_len = 0; /* libcurl reports the bytes that were seen ahead */
    add_to_excerpt(request, bytes);
}

void evidence_report(const struct evidence *evidence, CURL *easy, struct client_request *request)
{
    request->evidence = (struct attempt_evidence){0};
    if (request->sends == 0)
        return;
    curl_off_t uploaded = uploaded_bytes(easy);
    size_t body = (size_t)(uploaded > evidence->body_bytes ? uploaded : evidence->body_bytes);
    size_t first = (size_t)(written_bytes(easy) - evidence->earlier_bytes);
    size_t in_parts = body > 0 ? evidence->request_lines_bytes + body : 0;
    size_t told = told_bytes(evidence);
    request->evidence = (struct attempt_evidence){
        .warm = evidence->warm,
        .request_complete = request->body.len > 0 ? body == request->body.len : first > 0,
        .request_bytes = (uint32_t)(first > in_parts ? first : in_parts),
        .answer_bytes = (uint32_t)(told > 0 ? told : evidence->ahead_bytes),
    };
}
