/* SPDX-License-Identifier: Apache-2.0 */
#include "client/evidence.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void evidence_begin(struct evidence *evidence, const struct client_request *request)
{
    *evidence = (struct evidence){0};
    for (unsigned i = 0; i < request->headers_count; i++)
        evidence->request_lines_bytes += strlen(request->headers[i]) + strlen("\r\n");
}

void evidence_begin_again(struct evidence *evidence, struct client_request *request)
{
    *evidence = (struct evidence){
        .dns_us = evidence->dns_us,
        .request_lines_bytes = evidence->request_lines_bytes,
    };
    request->evidence = (struct attempt_evidence){0};
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

void evidence_note_load(struct evidence *evidence)
{
    evidence->loaded_mono_us = clock_mono_us();
    if (evidence->begun_mono_us == 0)
        evidence->begun_mono_us = evidence->loaded_mono_us;
}

/* libcurl counts from its last begin. Addresses that were given up before belong to the step. */
static void note_connected(struct evidence *evidence, CURL *easy)
{
    curl_off_t tcp_us = 0, tls_us = 0;
    curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &tcp_us);
    curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &tls_us);
    if (tcp_us > 0)
        evidence->connect_us = evidence->loaded_mono_us - evidence->begun_mono_us + tcp_us;
    if (tls_us > tcp_us)
        evidence->tls_us = tls_us - tcp_us;
}

void evidence_note_tcp(struct evidence *evidence, int64_t mono_us)
{
    if (evidence->socket_opened && evidence->connect_us == 0)
        evidence->connect_us = mono_us - evidence->begun_mono_us;
}

void evidence_note_send(struct evidence *evidence, CURL *easy, bool warm)
{
    if (evidence->socket_opened)
        note_connected(evidence, easy);
    evidence->sent_mono_us = clock_mono_us();
    evidence->warm = warm;
    evidence->socket_opened = false;
    evidence->earlier_bytes = written_bytes(easy);
    evidence->body_bytes = 0;
}

void evidence_note_answer(struct evidence *evidence)
{
    if (evidence->first_byte_mono_us == 0)
        evidence->first_byte_mono_us = clock_mono_us();
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

void evidence_print_peer(
    const char *ip, unsigned port, bool is_ipv6, char ret_peer[EVIDENCE_PEER_BYTES])
{
    snprintf(ret_peer, EVIDENCE_PEER_BYTES, is_ipv6 ? "[%s]:%u" : "%s:%u", ip, port);
}

/* An attempt ends after minutes. */
static uint32_t duration(int64_t us)
{
    return us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static void report_steps(struct evidence *evidence, CURL *easy,
    const struct client_request *request, struct attempt_evidence *shown)
{
    if (request->sends == 0 && evidence->socket_opened)
        note_connected(evidence, easy);
    shown->dns_us = duration(evidence->dns_us);
    shown->connect_us = duration(evidence->connect_us);
    shown->tls_us = duration(evidence->tls_us);
    if (evidence->first_byte_mono_us > 0 && request->sends > 0)
        shown->first_byte_us = duration(evidence->first_byte_mono_us - evidence->sent_mono_us);
}

static void report_counts(const struct evidence *evidence, CURL *easy,
    const struct client_request *request, struct attempt_evidence *shown)
{
    curl_off_t uploaded = uploaded_bytes(easy);
    size_t body = (size_t)(uploaded > evidence->body_bytes ? uploaded : evidence->body_bytes);
    size_t first = (size_t)(written_bytes(easy) - evidence->earlier_bytes);
    size_t in_parts = body > 0 ? evidence->request_lines_bytes + body : 0;
    size_t told = told_bytes(evidence);
    shown->warm = evidence->warm;
    shown->request_complete = request->body.len > 0 ? body == request->body.len : first > 0;
    shown->request_bytes = (uint32_t)(first > in_parts ? first : in_parts);
    shown->answer_bytes = (uint32_t)(told > 0 ? told : evidence->ahead_bytes);
    if (evidence->answer_raw_bytes > shown->answer_bytes)
        shown->answer_bytes = (uint32_t)evidence->answer_raw_bytes;
}

void evidence_report(struct evidence *evidence, CURL *easy, struct client_request *request)
{
    report_steps(evidence, easy, request, &request->evidence);
    if (request->sends > 0)
        report_counts(evidence, easy, request, &request->evidence);
}
