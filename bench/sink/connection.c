/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/connection.h"

#include <stdlib.h>
#include <sys/socket.h>

#define MISSING_BYTES 64 /* content-length says so much more, so an empty body can be cut too */

/* An answer that is never finished. */
struct cut_answer {
    h2o_generator_t super;
    struct sink_loop *loop;
};

static void on_close(void *data)
{
    struct connection *connection = data;
    list_remove(&connection->link);
    free(connection);
}

struct connection *connection_of(h2o_req_t *req)
{
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    if (!socket->on_close.cb) {
        struct connection *connection = h2o_mem_alloc(sizeof *connection);
        *connection = (struct connection){.socket = socket};
        list_init(&connection->link);
        socket->on_close.cb = on_close;
        socket->on_close.data = connection;
    }
    return socket->on_close.data;
}

bool connection_is_dying(const struct connection *connection)
{
    return !list_is_empty(&connection->link);
}

static void shut_down(const struct connection *connection)
{
    shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
}

void connection_break(struct sink_loop *loop, h2o_req_t *req)
{
    struct connection *connection = connection_of(req);
    if (req->version < 0x200) {
        /* The connection has no other request. h2o reads it only after an answer, which then is
         * not sent. */
        shut_down(connection);
        req->http1_is_persistent = 0;
        server_answer(req, 503, NULL, "", 0);
    } else if (!connection_is_dying(connection)) {
        list_add_tail(&loop->dying, &connection->link);
    }
}

/* The bytes that were sent are in the kernel. */
static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    struct cut_answer *answer = CONTAINER_OF(generator, struct cut_answer, super);
    struct connection *connection = connection_of(req);
    if (req->version < 0x200) {
        shut_down(connection);
        h2o_send(req, NULL, 0, H2O_SEND_STATE_ERROR);
    } else if (!connection_is_dying(connection)) {
        list_add_tail(&answer->loop->dying, &connection->link);
    }
}

void connection_break_answer(
    struct sink_loop *loop, h2o_req_t *req, const char *body, size_t body_len)
{
    struct cut_answer *answer = h2o_mem_alloc_pool(&req->pool, sizeof *answer);
    *answer = (struct cut_answer){.super = {.proceed = on_proceed}, .loop = loop};
    req->http1_is_persistent = 0;
    req->res.reason = "Status";
    req->res.content_length = body_len + MISSING_BYTES;
    h2o_iovec_t half =
        body_len > 0 ? h2o_strdup(&req->pool, body, (body_len + 1) / 2) : h2o_iovec_init("{", 1);
    h2o_start_response(req, &answer->super);
    h2o_send(req, &half, 1, H2O_SEND_STATE_IN_PROGRESS);
}

void connection_on_turn(struct server_loop *server)
{
    struct sink_loop *loop = server->data;
    struct connection *connection;
    while ((connection = LIST_TAKE_FIRST(&loop->dying, struct connection, link)) != NULL)
        shut_down(connection); /* h2o reads the end and disposes of it in a later turn */
}
