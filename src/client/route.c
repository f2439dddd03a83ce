/* SPDX-License-Identifier: Apache-2.0 */
#include "client/route.h"

#include "client/transfer.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <strings.h>

bool route_is_encrypted(const struct client_transfer *transfer)
{
    const char encrypted[] = "https:";
    return strncasecmp(transfer->request->url, encrypted, sizeof encrypted - 1) == 0;
}

bool route_wants_http_2(const struct client_transfer *transfer)
{
    return transfer->request->http == CLIENT_HTTP_2 && route_is_encrypted(transfer);
}

bool route_multiplexes(const struct client_transfer *transfer)
{
    return route_wants_http_2(transfer) && !transfer->request->once;
}

static size_t print_address(const union address *address, char *ret_text, size_t room)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (address->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->ipv6.sin6_addr, text, sizeof text);
        return (size_t)snprintf(ret_text, room, "[%s]", text);
    }
    inet_ntop(AF_INET, &address->ipv4.sin_addr, text, sizeof text);
    return (size_t)snprintf(ret_text, room, "%s", text);
}

static uint64_t tls_id(const struct client_transfer *transfer)
{
    return transfer->request->tls ? transfer->request->tls->id : 0;
}

uint64_t route_connection_number(const struct client_transfer *transfer)
{
    return transfer->own_connection ? transfer->own_connection
                                    : multiplex_number(&transfer->stream);
}

/* Without a name, connections are distinguished by the address in the URL. */
static void write_name(struct client_transfer *transfer)
{
    uint64_t id = tls_id(transfer), number = route_connection_number(transfer);
    char of_tls[24] = "", of_connection[24] = "";
    transfer->name[0] = '\0';
    if (target_is_address(&transfer->target) && id == 0 && number == 0)
        return;
    if (id != 0)
        snprintf(of_tls, sizeof of_tls, ".t%llx", (unsigned long long)id);
    if (number != 0)
        snprintf(of_connection, sizeof of_connection, ".c%llu", (unsigned long long)number);
    snprintf(transfer->name, sizeof transfer->name, "%llu%s%s.route.invalid",
        (unsigned long long)transfer->addresses.route, of_tls, of_connection);
}

static void write_pin(struct client_transfer *transfer)
{
    transfer->pin[0] = '\0';
    if (!*transfer->name)
        return;
    snprintf(transfer->connected_to, sizeof transfer->connected_to, "::%s:", transfer->name);
    size_t len = (size_t)snprintf(
        transfer->pin, sizeof transfer->pin, "%s:%u:", transfer->name, transfer->target.port);
    /* A request that joins a connection opens no socket: one address is enough. */
    unsigned count = transfer->stream.way == MULTIPLEX_JOIN ? 1 : transfer->addresses.count;
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            transfer->pin[len++] = ',';
        len += print_address(
            &transfer->addresses.items[i], transfer->pin + len, sizeof transfer->pin - len);
        assert(len < sizeof transfer->pin);
    }
}

void route_write(struct client_transfer *transfer)
{
    write_name(transfer);
    write_pin(transfer);
}

void route_unpin(struct client_transfer *transfer)
{
    transfer->unpin[0] = '\0';
    if (*transfer->name)
        snprintf(transfer->unpin, sizeof transfer->unpin, "-%s:%u", transfer->name,
            transfer->target.port);
}

enum err route_pin(struct client_transfer *transfer, const struct address_set *addresses)
{
    struct address_set *allowed = &transfer->addresses;
    allowed->count = 0;
    allowed->route = addresses->route;
    for (unsigned i = 0; i < addresses->count; i++)
        if (address_guard_allows(&transfer->options->guard, &addresses->items[i].any))
            allowed->items[allowed->count++] = addresses->items[i];
    route_write(transfer);
    return allowed->count > 0 ? OK : ERR_ADDRESS_REFUSED;
}

void route_print_origin(const struct client_transfer *transfer, char ret_name[ORIGIN_NAME_BYTES])
{
    char address[INET6_ADDRSTRLEN + sizeof "[]"] = "";
    if (target_is_address(&transfer->target))
        print_address(&transfer->target.address, address, sizeof address);
    snprintf(ret_name, ORIGIN_NAME_BYTES, "%s%s:%u %llu %llx", transfer->target.host, address,
        transfer->target.port, (unsigned long long)transfer->addresses.route,
        (unsigned long long)tls_id(transfer));
}

bool route_may_turn(const struct client_transfer *transfer)
{
    curl_off_t connected_us = 0; /* 0: not yet, TLS included */
    curl_easy_getinfo(transfer->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    return transfer->in_multi && transfer->request->sends == 0 && connected_us == 0 &&
           transfer->tls.begun_mono_us == 0 && transfer->turns + 1 < transfer->addresses.count;
}

void route_turn(struct client_transfer *transfer)
{
    int place = address_set_find(&transfer->addresses, &transfer->tried);
    transfer->turns++;
    address_set_turn(&transfer->addresses, place >= 0 ? (unsigned)place + 1 : 1);
    write_pin(transfer);
}
