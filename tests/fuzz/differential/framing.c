/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1 walker against llhttp, the parser of Node.js (Debian's node-llhttp has its C files).
 * Both get the same bytes, one at a time. Each request must end at the same byte for both, as long
 * as both accept the bytes. Ours may reject what llhttp accepts. It must not accept what llhttp
 * rejects, except for what does not affect where a request ends: methods that llhttp does not have,
 * and the form of the target.
 *
 * llhttp is in its strict mode. CONNECT is left out, since a tunnel has no next request, and PRI,
 * the beginning of HTTP/2.
 */
#include "support/framing_walk.h"

#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct theirs {
    llhttp_t parser;
    unsigned ends;
};

static int on_message_complete(llhttp_t *parser)
{
    ((struct theirs *)parser->data)->ends++;
    return 0;
}

/* For each request: llhttp treats what follows "Connection: close" or an upgrade differently. */
static void begin(struct theirs *theirs)
{
    static llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_message_complete;
    llhttp_init(&theirs->parser, HTTP_REQUEST, &settings);
    theirs->parser.data = theirs;
}

static enum llhttp_errno feed(struct theirs *theirs, char byte)
{
    unsigned ends = theirs->ends;
    enum llhttp_errno error = llhttp_execute(&theirs->parser, &byte, 1);
    if (theirs->ends == ends)
        return error;
    begin(theirs);
    return error == HPE_PAUSED_UPGRADE ? HPE_OK : error;
}

/* What llhttp rejects although it does not matter where the request ends. It also rejects an
 * extension of a chunk after one with a value: that is a bug of its version 8. */
static bool is_about_something_else(
    const struct theirs *theirs, enum llhttp_errno error, char before)
{
    const char *reason = llhttp_get_error_reason(&theirs->parser);
    return error == HPE_INVALID_METHOD || error == HPE_INVALID_URL ||
           (error == HPE_INVALID_CONSTANT && reason && strstr(reason, "method")) ||
           (error == HPE_INVALID_CHUNK_SIZE && before == ';');
}

static void complain(const struct theirs *theirs, enum llhttp_errno error, const uint8_t *data,
    size_t at, unsigned ends)
{
    const char *reason = llhttp_get_error_reason(&theirs->parser);
    fprintf(stderr, "at byte %zu (%02x): ours has %u requests, llhttp %u, %s %s\n", at, data[at],
        ends, theirs->ends, llhttp_errno_name(error), reason ? reason : "");
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct framing_walk ours = {.ends = 0};
    struct theirs theirs = {.ends = 0};
    begin(&theirs);
    /* The first byte is for fuzz_framing, which has the same inputs. */
    for (size_t i = 1; i < size; i++) {
        framing_walk(&ours, (const char *)data + i, 1);
        if (ours.fault)
            break;
        enum llhttp_errno error = feed(&theirs, (char)data[i]);
        if (theirs.parser.method == HTTP_CONNECT || theirs.parser.method == HTTP_PRI ||
            is_about_something_else(&theirs, error, (char)data[i - 1]))
            break;
        if (error != HPE_OK || ours.ends != theirs.ends)
            complain(&theirs, error, data, i, ours.ends);
    }
    return 0;
}
