/* SPDX-License-Identifier: Apache-2.0 */
/* The ceiling of a broker whose queue is also consumed: publish, and one thread that drains the
 * queue (drain.h). */
#include "ceiling/drain.h"
#include "ceiling/publish.h"

static void cut(struct ceiling *ceiling, struct server *server)
{
    drain_cut(ceiling, server);
    publish_cut(ceiling, server);
}

static void close_both(struct ceiling *ceiling, struct server *server)
{
    publish_close(ceiling, server);
    drain_close(ceiling, server);
}

const struct ceiling_kind ceiling_consume = {.name = "consume",
    .doc = "like publish, with a consumer that acks everything",
    .needs_broker = true,
    .open = drain_open,
    .on_start = publish_on_start,
    .on_request = publish_on_request,
    .cut = cut,
    .close = close_both};
