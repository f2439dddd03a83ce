/* SPDX-License-Identifier: Apache-2.0 */
/* The far end of a connection. */
#include "http/http_internal.h"

#include <arpa/inet.h>

static void print_address(struct http_peer *peer)
{
    bool is_ipv4 = IN6_IS_ADDR_V4MAPPED(&peer->address);
    inet_ntop(is_ipv4 ? AF_INET : AF_INET6, peer->address.s6_addr + (is_ipv4 ? 12 : 0), peer->text,
        sizeof peer->text);
}

void http_peer_read(h2o_socket_t *socket, struct http_peer *ret_peer)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof storage;
    *ret_peer = (struct http_peer){.text = "-"};
    if (getpeername(h2o_socket_get_fd(socket), (struct sockaddr *)&storage, &len) != 0)
        return;
    if (storage.ss_family == AF_INET) {
        const struct sockaddr_in *address = (const struct sockaddr_in *)&storage;
        ret_peer->address.s6_addr[10] = ret_peer->address.s6_addr[11] = 0xff;
        memcpy(ret_peer->address.s6_addr + 12, &address->sin_addr, 4);
        ret_peer->port = ntohs(address->sin_port);
    } else if (storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)&storage;
        ret_peer->address = address->sin6_addr;
        ret_peer->port = ntohs(address->sin6_port);
    }
    print_address(ret_peer);
}

void http_peer_set(struct http_peer *peer, const struct in6_addr *address, uint16_t port)
{
    peer->address = *address;
    peer->port = port;
    print_address(peer);
}

const struct http_peer *http_peer(const struct http_exchange *exchange)
{
    return &exchange->peer;
}

const struct tls_identity *http_client_identity(const struct http_exchange *exchange)
{
    return exchange->connection ? exchange->connection->identity : NULL;
}
