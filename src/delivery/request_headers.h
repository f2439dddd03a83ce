/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of the request to a client, and the signature. */
#ifndef PENSTOCK_DELIVERY_REQUEST_HEADERS_H
#define PENSTOCK_DELIVERY_REQUEST_HEADERS_H

#include "accounts/directory.h"

struct attempt_run;
struct endpoint_queue;

/* Makes a MAC of each of the endpoint's secrets, unless those of its version are there. Fails when
 * OpenSSL has no memory. */
enum err request_headers_prepare(struct endpoint_queue *queue, const struct endpoint *endpoint);
/* Signs the body of the request, and sets all headers. */
void request_headers_add(struct attempt_run *run);

#endif
