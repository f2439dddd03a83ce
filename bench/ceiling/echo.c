/* SPDX-License-Identifier: Apache-2.0 */
/* The ceiling of the HTTP server: each request is answered at once, with 200 and its own body. */
#include "ceiling/ceiling.h"

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    struct ceiling_loop *loop = server_loop_of(req)->data;
    loop->counts.requests++;
    if (ceiling_is_post(req))
        ceiling_answer(loop, req, 200, req->entity.base, req->entity.len);
    else
        ceiling_answer(loop, req, 405, NULL, 0);
    return 0;
}

static enum err on_start(struct server_loop *server_loop, void *context)
{
    struct ceiling_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return ERR_NO_MEMORY;
    loop->server_loop = server_loop;
    server_loop->data = loop;
    return OK;
}

const struct ceiling_kind ceiling_echo = {.name = "echo",
    .doc = "answers every POST with its body: only the HTTP server",
    .on_start = on_start,
    .on_request = on_request};
