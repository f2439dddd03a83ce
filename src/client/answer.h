/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the answer of a transfer, as libcurl reports it: header lines, then the body.
 *
 * The status counts as soon as the headers of the final response are complete. The body is read
 * further only to keep the connection and for an excerpt, within limits of size and time. Errors
 * after that change nothing. An answer that is not HTTP is read within the same limits, for the
 * excerpt.
 *
 * If the caller needs the body, it is copied to the request's `answer`, and the whole time of the
 * request is for it. When it is longer than that, the transfer ends.
 */
#ifndef PENSTOCK_CLIENT_ANSWER_H
#define PENSTOCK_CLIENT_ANSWER_H

#include <stddef.h>

/* All header lines of an answer, 1xx included. */
#define ANSWER_HEADER_BYTES_MAX ((size_t)64 * 1024)
/* Bytes of a body that are read to keep the connection: reading more costs more than a new
 * connection. */
#define ANSWER_BODY_BYTES_MAX ((size_t)64 * 1024)

/* CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION. `context` is the transfer. */
size_t answer_on_header_line(char *data, size_t size, size_t count, void *context);
size_t answer_on_body(char *data, size_t size, size_t count, void *context);

#endif
