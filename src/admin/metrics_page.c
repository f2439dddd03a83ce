/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics, for Prometheus. The list of metrics is in runtime/metrics.h. */
#include "admin/admin_internal.h"

#include "runtime/metrics.h"

void admin_get_metrics(struct http_exchange *exchange, void *context)
{
    struct buffer text = BUFFER_EMPTY;
    if (!admin_check_host(context, exchange))
        return;
    lag_set_gauges(context);
    metrics_print(&text);
    if (buffer_status(&text) == OK)
        http_answer(exchange, &(struct http_reply){.status = 200,
                                  .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                  .body = buffer_slice(&text)});
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, ADMIN_ASK_LATER, NULL);
    buffer_done(&text);
}
