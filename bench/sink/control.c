/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control at run time, on the same port. These requests are not logged. They are taken from this
 * host only: a sink for a target elsewhere listens where others reach it.
 *
 *   PUT /_behave/<path>   sets the behaviour of /<path> to the words in the body; answers 200, or
 *                         400 with the complaint
 *   GET /_counts          returns the number of requests, by how they ended
 */
#include "sink/sink.h"

#include <inttypes.h>

#define BEHAVE "/_behave"
#define COUNTS "/_counts"
#define WORDS_BYTES_MAX 8192

static void answer_text(h2o_req_t *req, int status, const char *text)
{
    server_answer(req, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void put_behaviour(struct sink *sink, h2o_req_t *req, struct slice path)
{
    char words[WORDS_BYTES_MAX + 1], complaint[BEHAVIOUR_COMPLAINT_BYTES + 1];
    size_t len = req->entity.len;
    struct behaviour behaviour;
    if (len > WORDS_BYTES_MAX || (len > 0 && memchr(req->entity.base, '\0', len))) {
        answer_text(req, 400, "the body should be the words of a behaviour, at most 8 KiB\n");
        return;
    }
    if (len > 0)
        memcpy(words, req->entity.base, len);
    words[len] = '\0';
    if (!behaviour_parse(words, &behaviour, complaint)) {
        strcat(complaint, "\n");
        answer_text(req, 400, complaint);
        return;
    }
    enum err result = paths_put(sink->paths, path, &behaviour);
    if (result == ERR_BAD_REQUEST)
        answer_text(req, 400, "the path should be /_behave/ and at most 255 bytes more\n");
    else if (result)
        answer_text(req, 503, "the limit of paths or changes is reached\n");
    else
        answer_text(req, 200, "");
}

static void get_counts(struct sink *sink, h2o_req_t *req)
{
    struct sink_counts counts;
    sink_log_count(sink->log, &counts);
    char text[256];
    int len = snprintf(text, sizeof text,
        "{\"requests\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"dropped\":%" PRIu64
        ",\"cut\":%" PRIu64 ",\"hung\":%" PRIu64 "}\n",
        counts.requests, counts.deeds[SINK_ANSWERED], counts.deeds[SINK_DROPPED],
        counts.deeds[SINK_CUT_SHORT], counts.deeds[SINK_NEVER_ENDED]);
    server_answer(req, 200, "application/json", text, (size_t)len);
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    return address->ss_family == AF_INET6
               ? IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr)
               : address->ss_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 == 127;
}

static bool is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
    const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
    if (a->ss_family != b->ss_family)
        return false;
    return a->ss_family == AF_INET6
               ? memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0
               : a->ss_family == AF_INET && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
}

/* Whether the peer is on this host. Of a slow reader (relay.c) the peer is not known: it is then
 * trusted only by a sink on loopback. */
static bool is_own_host(const struct sink *sink, h2o_req_t *req)
{
    struct sockaddr_storage peer = {0}, own = {0};
    if (sink->is_on_loopback)
        return true;
    return req->conn->callbacks->get_peername(req->conn, (void *)&peer) > 0 &&
           req->conn->callbacks->get_sockname(req->conn, (void *)&own) > 0 &&
           (is_loopback(&peer) || is_same_host(&peer, &own));
}

bool control_handle(struct sink *sink, h2o_req_t *req)
{
    struct slice path = slice_from_iovec(req->path);
    if (!slice_starts_with(path, "/_"))
        return false;
    bool is_put = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("PUT"));
    bool is_get = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("GET"));
    bool is_behave = slice_starts_with(path, BEHAVE "/"),
         is_counts = slice_equals_string(path, COUNTS);
    if ((is_behave || is_counts) && !is_own_host(sink, req))
        answer_text(req, 403, "the sink is controlled from its own host only\n");
    else if (is_behave && is_put)
        put_behaviour(
            sink, req, slice_of(path.data + sizeof BEHAVE - 1, path.len - (sizeof BEHAVE - 1)));
    else if (is_counts && is_get)
        get_counts(sink, req);
    else if (is_behave || is_counts)
        answer_text(req, 405, is_behave ? "use PUT\n" : "use GET\n");
    else
        return false;
    return true;
}
