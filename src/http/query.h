/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a query (application/x-www-form-urlencoded). */
#ifndef PENSTOCK_HTTP_QUERY_H
#define PENSTOCK_HTTP_QUERY_H

#include "base/slice.h"

#include <stdbool.h>

/* Takes the next parameter off the front of a query: `name=value`, or a name without a value. Both
 * are still encoded. False at the end. */
bool http_query_take(struct slice *query, struct slice *ret_name, struct slice *ret_value);

/* Decodes percent-encoding and '+'. False when the text is not encoded correctly, has a NUL, or
 * does not fit with its NUL into `size` bytes. */
bool http_query_decode(struct slice text, char *ret_text, size_t size);

#endif
