/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A held request. h2o frees a request when its client resets the stream or closes the connection,
 * answered or not. A cell in the request's memory points to the held request, and the cell's
 * dispose callback clears the link.
 *
 * HTTP/1 connections are not read while a request waits for its answer. A client that leaves is
 * detected only when the answer is sent, so its request counts as answered.
 */
#include "ceiling/ceiling.h"

/* {"status":"accepted","event":"evt_...","receipt":"r1.a...."} with the lengths of real ones. */
const char ceiling_accepted[] =
    "{\"status\":\"accepted\",\"event\":\"evt_00000000-0000-7000-8000-000000000000\","
    "\"receipt\":\"r1.a.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}\n";
_Static_assert(
    sizeof ceiling_accepted - 1 == CEILING_ACCEPTED_BYTES, "the length in the header is wrong");

static void on_request_gone(void *memory)
{
    struct held **cell = memory;
    if (!*cell)
        return;
    (*cell)->loop->counts.left++;
    (*cell)->req = NULL;
    (*cell)->cell = NULL;
}

void held_init(struct held *held, struct ceiling_loop *loop, h2o_req_t *req)
{
    *held = (struct held){.req = req, .loop = loop};
    held->cell = h2o_mem_alloc_shared(&req->pool, sizeof(struct held *), on_request_gone);
    *held->cell = held;
}

void held_drop(struct held *held)
{
    if (held->cell)
        *held->cell = NULL;
    free(held);
}

void held_answer(struct held *held, int status, const char *body, size_t body_len)
{
    struct ceiling_loop *loop = held->loop;
    h2o_req_t *req = held->req;
    held_drop(held); /* first: sending may free the request, which must not count as "left" */
    if (req)
        ceiling_answer(loop, req, status, body, body_len);
}

void ceiling_answer(
    struct ceiling_loop *loop, h2o_req_t *req, int status, const char *body, size_t body_len)
{
    if (status == 200)
        loop->counts.answered++;
    else
        loop->counts.refused++;
    server_answer(req, status, body_len ? "application/json" : NULL, body, body_len);
}
