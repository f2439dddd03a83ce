/* SPDX-License-Identifier: Apache-2.0 */
/* GET /openapi.json: the description of all interfaces. It has no secret, so programs that draw it
 * or make code of it need no token. */
#include "http/openapi.h"

#include "admin/admin_internal.h"

void admin_get_openapi(struct http_exchange *exchange, void *context)
{
    if (admin_check_host(context, exchange))
        http_answer_openapi(exchange);
}
