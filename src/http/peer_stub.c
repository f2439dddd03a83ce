/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the socket. There is no TLS yet, so nobody has a certificate. */
#include "http/peer.h"

#include "base/network.h"
#include "http/http_internal.h"

#include <arpa/inet.h>

const struct http_peer *http_peer(const struct http_exchange *exchange)
{
    static _Thread_local struct http_peer peer;
    struct sockaddr_storage address = {0};
    struct http_peer seen = {0};
    if (exchange->req)
        exchange->req->conn->callbacks->get_peername(
            exchange->req->conn, (struct sockaddr *)&address);
    if (address.ss_family == AF_INET6) {
        seen.address = ((struct sockaddr_in6 *)&address)->sin6_addr;
        seen.port = ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    } else if (address.ss_family == AF_INET) {
        network_map_ipv4(&((struct sockaddr_in *)&address)->sin_addr, seen.address.s6_addr);
        seen.port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    }
    bool is_ipv4 = network_is_ipv4(seen.address.s6_addr);
    inet_ntop(is_ipv4 ? AF_INET : AF_INET6,
        seen.address.s6_addr + (is_ipv4 ? NETWORK_IPV4_PREFIX_BITS / 8 : 0), seen.text,
        sizeof seen.text);
    peer = seen;
    return &peer;
}

const struct tls_identity *http_client_identity(const struct http_exchange *exchange)
{
    (void)exchange;
    return NULL;
}
