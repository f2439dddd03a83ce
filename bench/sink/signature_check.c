/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/signature_check.h"

#include <stdlib.h>

#define TIMESTAMP_DIGITS_MAX 18

struct path_macs {
    const struct behaviour *of; /* the MACs are keyed with its secrets */
    struct hmac *macs[ENDPOINT_SECRETS_MAX];
};

static void forget(struct path_macs *path)
{
    for (size_t i = 0; i < ENDPOINT_SECRETS_MAX; i++)
        hmac_free(path->macs[i]);
    *path = (struct path_macs){0};
}

static struct path_macs *macs_of(
    struct signature_checker *checker, const struct behaviour *behaviour)
{
    if (behaviour->path >= checker->count) {
        size_t count = behaviour->path + 1;
        struct path_macs *macs = realloc(checker->macs, count * sizeof *macs);
        if (!macs)
            abort(); /* like h2o */
        memset(macs + checker->count, 0, (count - checker->count) * sizeof *macs);
        checker->macs = macs;
        checker->count = count;
    }
    struct path_macs *path = &checker->macs[behaviour->path];
    if (path->of == behaviour)
        return path;
    forget(path);
    path->of = behaviour;
    for (unsigned i = 0; i < behaviour->secrets_count; i++) {
        const struct secret *secret = &behaviour->secrets[i];
        if (hmac_new(slice_of(secret->bytes, secret->len), &path->macs[i]) != OK)
            abort();
    }
    return path;
}

static bool parse_timestamp(struct slice text, int64_t *ret_s)
{
    int64_t number = 0;
    if (text.len == 0 || text.len > TIMESTAMP_DIGITS_MAX || (text.len > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_s = number;
    return true;
}

static bool is_among(struct slice signatures, const char *signature)
{
    const char *at = signatures.data, *end = signatures.data + signatures.len;
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space ? space : end;
        if (slice_equals_string(slice_of(at, (size_t)(stop - at)), signature))
            return true;
        at = stop + 1;
    }
    return false;
}

enum sink_signature signature_check(struct signature_checker *checker,
    const struct behaviour *behaviour, const struct signed_request *request)
{
    int64_t timestamp_s;
    if (behaviour->secrets_count == 0)
        return SINK_UNCHECKED;
    if (request->id.len == 0 || !parse_timestamp(request->timestamp, &timestamp_s))
        return SINK_WRONG;
    struct path_macs *path = macs_of(checker, behaviour);
    for (unsigned i = 0; i < behaviour->secrets_count; i++) {
        char right[SIGNATURE_TEXT_BYTES];
        signature_make(path->macs[i], request->id, timestamp_s, request->body, right);
        if (is_among(request->signatures, right))
            return SINK_RIGHT;
    }
    return SINK_WRONG;
}

void signature_checker_done(struct signature_checker *checker)
{
    for (size_t i = 0; i < checker->count; i++)
        forget(&checker->macs[i]);
    free(checker->macs);
    *checker = (struct signature_checker){0};
}
