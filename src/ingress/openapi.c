/* SPDX-License-Identifier: Apache-2.0 */
/* GET /openapi.json: the description for partners and clients. It needs a key and counts as a
 * look-up: an answer that is much larger than its request is not for strangers. */
#include "http/openapi.h"

#include "ingress/ingress_internal.h"

void ingress_get_openapi(struct http_exchange *exchange, void *context)
{
    struct caller caller;
    if (ingress_admitted(context, exchange, &caller))
        http_answer_openapi_for_partners(exchange);
}
