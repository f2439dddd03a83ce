/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The description of the HTTP interfaces, etc/api/openapi.yaml, as a part of the program. The build
 * makes JSON of it (etc/api/document.c). The listener for operators serves the whole document, the
 * listener for partners the part for partners and clients.
 */
#ifndef PENSTOCK_HTTP_OPENAPI_H
#define PENSTOCK_HTTP_OPENAPI_H

#include "http/server.h"

extern const char openapi_all[], openapi_partners[];
extern const size_t openapi_all_len, openapi_partners_len;

/* Answer the exchange, which ends it. */
void http_answer_openapi(struct http_exchange *exchange);
void http_answer_openapi_for_partners(struct http_exchange *exchange);

#endif
