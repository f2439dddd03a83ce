/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control at run time, on the same port. These requests are not logged.
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

bool control_handle(struct sink *sink, h2o_req_t *req)
{
    struct slice path = slice_from_iovec(req->path);
    if (!slice_starts_with(path, "/_"))
        return false;
    bool is_put = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("PUT"));
    bool is_get = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("GET"));
    bool is_behave = slice_starts_with(path, BEHAVE "/"),
         is_counts = slice_equals_string(path, COUNTS);
    if (is_behave && is_put)
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
