/* SPDX-License-Identifier: Apache-2.0 */
/* The publishing side of the kinds that use a broker. */
#ifndef PENSTOCK_BENCH_CEILING_PUBLISH_H
#define PENSTOCK_BENCH_CEILING_PUBLISH_H

#include "ceiling/ceiling.h"

enum err publish_on_start(struct server_loop *loop, void *ceiling);
int publish_on_request(h2o_handler_t *handler, h2o_req_t *req);
void publish_cut(struct ceiling *ceiling, struct server *server);
void publish_close(struct ceiling *ceiling, struct server *server);

#endif
