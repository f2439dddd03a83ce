/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header lists of HTTP/2. h2o 2.2.5 adds the fields of a trailer to the request's, so a credential
 * or a key in a trailer would count. It also drops content-length if there is no body to compare
 * with. It parses header lists through a function that the dynamic linker resolves. The function of
 * that name in this file replaces it.
 */
#include "http/http_internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* From h2o/http2_internal.h, which includes a header that is not installed. */
typedef int parse_fn(h2o_req_t *req, void *table, const uint8_t *src, size_t len,
    int *pseudo_headers, size_t *content_length, void **digests, const char **err_desc);
parse_fn h2o_hpack_parse_headers;

/* A trailer changes the HPACK table as well, so it is parsed and then dropped. */
int h2o_hpack_parse_headers(h2o_req_t *req, void *table, const uint8_t *src, size_t len,
    int *pseudo_headers, size_t *content_length, void **digests, const char **err_desc)
{
    static _Atomic(parse_fn *) found;
    parse_fn *real = found;
    if (!real)
        found = real = (parse_fn *)dlsym(RTLD_NEXT, "h2o_hpack_parse_headers");
    size_t fields = req->headers.size;
    int failed = real(req, table, src, len, pseudo_headers, content_length, digests, err_desc);
    bool is_trailer = !pseudo_headers;
    if (is_trailer) {
        req->headers.size = fields;
    } else if (*content_length != SIZE_MAX) {
        char text[24];
        int text_len = snprintf(text, sizeof text, "%zu", *content_length);
        h2o_iovec_t value = h2o_strdup(&req->pool, text, (size_t)text_len);
        h2o_add_header(
            &req->pool, &req->headers, H2O_TOKEN_CONTENT_LENGTH, NULL, value.base, value.len);
    }
    return failed;
}

const char *http2_framing_doubt(const h2o_req_t *req)
{
    ssize_t at = h2o_find_header(&req->headers, H2O_TOKEN_CONTENT_LENGTH, -1);
    if (at < 0)
        return NULL;
    h2o_iovec_t told = req->headers.entries[at].value;
    return h2o_strtosize(told.base, told.len) == req->entity.len
               ? NULL
               : "The length of the body is not the one in Content-Length.";
}

bool http2_is_guarded(void)
{
    return dlsym(RTLD_DEFAULT, "h2o_hpack_parse_headers") == (void *)h2o_hpack_parse_headers;
}
