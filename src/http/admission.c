/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applies the limits of client addresses (address_table.h) to connections and to requests whose
 * caller is not authenticated. A problem that such a request is answered with counts against its
 * address: 401 as a failed authentication, 400, 404 and others as a request. Answers with 503 do
 * not count, since they are not the caller's fault.
 *
 * A delayed answer keeps its exchange, as a handler that answers later does. It is answered from
 * the tick of the server, so a delay takes up to 0.1 s longer.
 */
#include "http/http_internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct delayed {
    struct list link;
    struct http_exchange *exchange;
    int64_t due_us;
    enum err error;
    char detail[200];
};

static const enum refusal_reason reasons[] = {
    [ADDRESS_LIMIT_CONNECTIONS] = REFUSAL_ADDRESS_CONNECTIONS,
    [ADDRESS_LIMIT_CONNECTION_RATE] = REFUSAL_ADDRESS_CONNECTION_RATE,
    [ADDRESS_LIMIT_REQUESTS] = REFUSAL_ADDRESS_REQUESTS,
    [ADDRESS_LIMIT_FAILURES] = REFUSAL_ADDRESS_FAILURES};

bool http_admission_open(struct http_connection *connection)
{
    struct address_table *addresses = connection->server->options.addresses;
    if (!addresses || connection->is_of_proxy) /* a proxy speaks for many */
        return true;
    struct address_answer answer = address_table_open(
        addresses, &connection->peer.address, clock_mono_us(), &connection->address);
    if (answer.verdict == ADDRESS_OK)
        return true;
    http_note_cut(connection, reasons[answer.limit], 0);
    return false;
}

void http_admission_close(struct http_connection *connection)
{
    if (connection->address.place)
        address_table_close(connection->server->options.addresses, connection->address,
            connection->has_authenticated, clock_mono_us());
}

/* Whether a proxy says for whom this request is. Its connections have no limits of an address, so
 * its clients are counted one by one. */
static bool is_forwarded(const struct http_exchange *exchange)
{
    const struct http_connection *connection = exchange->connection;
    return connection->is_of_proxy && connection->server->options.addresses &&
           !IN6_ARE_ADDR_EQUAL(&exchange->peer.address, &connection->peer.address);
}

static void note_known_client(struct http_exchange *exchange)
{
    struct http_connection *connection = exchange->connection;
    if (IN6_ARE_ADDR_EQUAL(&exchange->peer.address, &connection->known_client))
        return;
    connection->known_client = exchange->peer.address;
    address_table_authenticated_at(
        connection->server->options.addresses, &exchange->peer.address, clock_mono_us());
}

void http_set_caller(struct http_exchange *exchange, const char *id)
{
    struct http_connection *connection = exchange->connection;
    memset(exchange->caller, 0, sizeof exchange->caller);
    memcpy(exchange->caller, id, strnlen(id, sizeof exchange->caller - 1));
    http_room_set_caller(exchange);
    if (!connection)
        return;
    connection->refused_in_a_row = 0;
    if (is_forwarded(exchange))
        note_known_client(exchange);
    if (connection->has_authenticated)
        return;
    connection->has_authenticated = true;
    if (connection->address.place)
        address_table_authenticated(
            connection->server->options.addresses, connection->address, clock_mono_us());
}

static bool delay(struct http_exchange *exchange, enum err error, const char *detail)
{
    struct http_server *server = exchange->server;
    struct delayed *delayed;
    if (server->delayed_count >= ADDRESS_DELAYED_MAX || server->closing)
        return false;
    MEMORY_NEW(delayed);
    delayed->exchange = exchange;
    http_exchange_hold(exchange);
    delayed->error = error;
    delayed->due_us = clock_mono_us() + ADDRESS_DELAY_US;
    snprintf(delayed->detail, sizeof delayed->detail, "%s", detail ? detail : err_title(error));
    list_add_tail(&server->delayed, &delayed->link);
    server->delayed_count++;
    return true;
}

void http_admission_tick(struct http_server *server, bool all)
{
    int64_t now_us = clock_mono_us();
    if (server->options.refusals)
        refusals_tick(server->options.refusals, now_us);
    list_for_each_safe (link, following, &server->delayed) {
        struct delayed *delayed = CONTAINER_OF(link, struct delayed, link);
        if (!all && now_us < delayed->due_us)
            break;
        list_remove(&delayed->link);
        server->delayed_count--;
        http_answer_problem(delayed->exchange, delayed->error, delayed->detail, NULL);
        free(delayed);
    }
}

static void answer_busy(struct http_exchange *exchange, const struct address_answer *answer)
{
    char detail[160], seconds[16];
    exchange->over_limit = reasons[answer->limit];
    snprintf(seconds, sizeof seconds, "%u", answer->retry_after_s);
    http_set_header(exchange, "retry-after", seconds);
    if (answer->limit == ADDRESS_LIMIT_FAILURES)
        snprintf(detail, sizeof detail,
            "Your address has sent too many wrong credentials. Check your API key or signature, "
            "and try again in %u s.",
            answer->retry_after_s);
    else
        snprintf(detail, sizeof detail,
            "Your address has sent too many requests without valid credentials. Try again in %u s.",
            answer->retry_after_s);
    http_answer_problem(exchange, ERR_RATE_LIMITED, detail, NULL);
}

bool http_admission_takes(struct http_exchange *exchange, enum err error, const char *detail)
{
    struct http_connection *connection = exchange->connection;
    if (!connection || exchange->is_judged || *exchange->caller || err_http_status(error) >= 500)
        return false;
    bool forwarded = is_forwarded(exchange), has_failed = error == ERR_UNAUTHENTICATED;
    struct address_table *addresses = connection->server->options.addresses;
    if (!forwarded && !connection->address.place)
        return false;
    exchange->is_judged = true;
    struct address_answer answer =
        forwarded
            ? address_table_refused_at(
                  addresses, &exchange->peer.address, has_failed, clock_mono_us())
            : address_table_refused(addresses, connection->address, has_failed, clock_mono_us());
    switch (answer.verdict) {
    case ADDRESS_OK:
        return false;
    case ADDRESS_SLOW:
        if (delay(exchange, error, detail))
            return true;
        answer.retry_after_s = ADDRESS_DELAY_US / US_PER_SECOND;
        break;
    case ADDRESS_BUSY:
        break;
    case ADDRESS_CUT:
        /* Others may use the connection as well, such as the clients of a partner's proxy. */
        exchange->closes =
            !forwarded && (!connection->has_authenticated ||
                              ++connection->refused_in_a_row >= ADDRESS_REFUSED_IN_A_ROW_MAX);
        break;
    }
    answer_busy(exchange, &answer);
    return true;
}
