/* SPDX-License-Identifier: Apache-2.0 */
#include "http/openapi.h"

static void answer(struct http_exchange *exchange, const char *json, size_t len)
{
    http_answer(exchange,
        &(struct http_reply){
            .status = 200, .content_type = "application/json", .body = slice_of(json, len)});
}

void http_answer_openapi(struct http_exchange *exchange)
{
    answer(exchange, openapi_all, openapi_all_len);
}

void http_answer_openapi_for_partners(struct http_exchange *exchange)
{
    answer(exchange, openapi_partners, openapi_partners_len);
}
