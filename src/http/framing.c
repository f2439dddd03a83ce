/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where does an HTTP/1 request end? h2o takes the last Transfer-Encoding or else the first Content-Length, and keeps
 * neither among the request's headers. A proxy in front of us may have chosen otherwise, and then the rest of one
 * client's body would be taken as the next request of another (request smuggling). So the raw head, which stays in the
 * connection's input until the answer is out, is read once more, and whatever can be read in two ways is refused.
 *
 * Lines end at LF, an optional CR before it, and one empty line may precede the request: as h2o's parser
 * (picohttpparser) has it, which has accepted the head before, so that every line but a folded one has a colon and no
 * blank before it.
 */
#include "http/http_internal.h"

#include <strings.h>

/* The next line without its end; false at the end of the input. */
static bool next_line(struct slice *input, struct slice *ret_line)
{
    const char *end = input->len ? memchr(input->data, '\n', input->len) : NULL;
    if (!end)
        return false;
    size_t len = (size_t)(end - input->data);
    *ret_line = slice_of(input->data, len > 0 && end[-1] == '\r' ? len - 1 : len);
    *input = slice_of(end + 1, input->len - len - 1);
    return true;
}

static bool is_header(struct slice line, const char *name)
{
    size_t len = strlen(name);
    return line.len > len && line.data[len] == ':' && strncasecmp(line.data, name, len) == 0;
}

const char *http_framing_doubt(struct slice input, bool is_http_1_0)
{
    struct slice line;
    if (!next_line(&input, &line) || (line.len == 0 && !next_line(&input, &line)))
        return "The request has no head.";
    unsigned lengths = 0, encodings = 0;
    while (next_line(&input, &line) && line.len > 0) {
        if (line.data[0] == ' ' || line.data[0] == '\t')
            return "A header must not be continued on another line.";
        lengths += is_header(line, "content-length");
        encodings += is_header(line, "transfer-encoding");
    }
    if (lengths > 1)
        return "Content-Length must not be given more than once.";
    if (encodings > 1)
        return "Transfer-Encoding must not be given more than once.";
    if (lengths && encodings)
        return "Content-Length and Transfer-Encoding must not be given together.";
    if (encodings && is_http_1_0)
        return "HTTP/1.0 has no Transfer-Encoding.";
    return NULL;
}
