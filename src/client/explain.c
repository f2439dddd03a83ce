/* SPDX-License-Identifier: Apache-2.0 */
#include "client/explain.h"

#include "client/transfer.h"
#include "client/unprocessed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Shortages */

const char *explain_shortage(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
        return "file descriptors";
    case ENOMEM:
    case ENOBUFS:
        return "memory";
    case EADDRNOTAVAIL:
        return "local ports";
    default:
        return NULL;
    }
}

static bool has_route(int family)
{
    /* Connecting a datagram socket only looks up the route. The guard does not apply to these two
     * addresses. */
    union address address = {.any.sa_family = (sa_family_t)family};
    if (family == AF_INET)
        inet_pton(AF_INET, "198.41.0.4", &address.ipv4.sin_addr);
    else
        inet_pton(AF_INET6, "2001:503:ba3e::2:30", &address.ipv6.sin6_addr);
    address.ipv4.sin_port = htons(9);
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && connect(fd, &address.any,
                              family == AF_INET ? sizeof address.ipv4 : sizeof address.ipv6) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

/* If these cannot be read, the cause is the endpoint's settings and not this machine. */
static bool has_own_ca(const struct client_transfer *transfer)
{
    const struct client_tls *tls = transfer->request->tls;
    return tls && tls->ca_pem;
}

/* Returns why there is no connection, if the reason is on this machine. A missing route to one
 * address is the client's problem, if others have a route. */
static const char *find_shortage(const struct client_transfer *transfer, CURLcode code)
{
    long error = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &error);
    if (code == CURLE_SSL_CACERT_BADFILE && !has_own_ca(transfer))
        return "CA certificates that can be read";
    if (code == CURLE_OUT_OF_MEMORY)
        return "memory";
    if (code != CURLE_COULDNT_CONNECT)
        return NULL;
    if (error == ENETUNREACH || error == ENETDOWN || error == EHOSTUNREACH)
        return has_route(AF_INET) || has_route(AF_INET6) ? NULL : "network: there is no route";
    /* For IPv6, a machine without IPv6 reports the same error. */
    bool is_alien = transfer->tried.any.sa_family == AF_INET6 && !has_route(AF_INET6);
    return error == EADDRNOTAVAIL && is_alien ? NULL : explain_shortage((int)error);
}

/* Results */

static enum err explain_begun(CURLcode code)
{
    switch (code) {
    case CURLE_SEND_ERROR:
        return ERR_SEND;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_ANSWER_TIMEOUT;
    case CURLE_WRITE_ERROR: /* ANSWER_HEADER_BYTES_MAX */
        return ERR_ANSWER_TOO_LARGE;
    case CURLE_UNSUPPORTED_PROTOCOL: /* a status line of no known version */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_OUT_OF_MEMORY: /* also libcurl's own limit on one header line */
        return ERR_ANSWER_MALFORMED;
    default:
        /* Closed before the headers were complete (in the middle of them even with CURLE_OK), or a
         * refused repeat. */
        return ERR_ANSWER_LOST;
    }
}

static enum err explain_not_begun(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_CONNECT_TIMEOUT;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return ERR_URL;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_ABORTED_BY_CALLBACK: /* on_own_look_up */
        return ERR_NAME_LOOKUP;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_CACERT_BADFILE: /* of the endpoint */
        return ERR_TLS;
    default:
        return ERR_CONNECT;
    }
}

/* See tls.h: the peer has rejected the handshake after the request was sent. It never read it. */
static bool was_unread(const struct client_transfer *transfer)
{
    return !transfer->answered && !transfer->evidence.warm &&
           transfer->evidence.first_byte_mono_us == 0 && tls_was_rejected(&transfer->tls);
}

/* GOAWAY before anything was answered, for instance from a peer that restarts. libcurl reports it
 * as it reports frames that are malformed. */
static bool was_sent_away(const struct client_transfer *transfer, CURLcode code)
{
    return code == CURLE_HTTP2 && transfer->evidence.first_byte_mono_us == 0;
}

static enum err explain(struct client_transfer *transfer, CURLcode code)
{
    if (transfer->not_http)
        return ERR_ANSWER_MALFORMED;
    if (transfer->received.too_large)
        return ERR_ANSWER_TOO_LARGE;
    if (transfer->request->sends > 0 &&
        (unprocessed_is_proven(transfer) || was_sent_away(transfer, code)))
        return ERR_ANSWER_LOST;
    if (transfer->request->sends > 0)
        return was_unread(transfer) ? ERR_TLS : explain_begun(code);
    if (!transfer->shortage)
        transfer->shortage = find_shortage(transfer, code);
    if (transfer->shortage)
        return ERR_SHORTAGE;
    return transfer->address_refused ? ERR_ADDRESS_REFUSED : explain_not_begun(code);
}

static enum attempt_cause cause_of_connect(const struct client_transfer *transfer)
{
    long error = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &error);
    switch (error) {
    case ECONNREFUSED:
        return CAUSE_CONNECT_REFUSED;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return CAUSE_CONNECT_RESET;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
        return CAUSE_CONNECT_NO_ROUTE;
    case ETIMEDOUT:
        return CAUSE_CONNECT_TIMEOUT;
    default:
        return CAUSE_CONNECT_FAILED;
    }
}

enum err explain_result(struct client_transfer *transfer, CURLcode code)
{
    enum err error = explain(transfer, code);
    transfer->stream_failed = code == CURLE_HTTP2_STREAM;
    if (error == ERR_TLS) {
        transfer->request->evidence.cause =
            tls_explain(&transfer->tls, code, transfer->request->evidence.tls_problem);
        /* Settings that cannot be used: TCP is connected, and the handshake was about to begin. */
        if (transfer->tls.begun_mono_us == 0)
            transfer->tls.begun_mono_us = clock_mono_us();
    }
    if (error == ERR_CONNECT)
        transfer->request->evidence.cause = cause_of_connect(transfer);
    bool is_whole = code == CURLE_OK || transfer->request->answer_cut;
    return transfer->answered && is_whole ? OK : error;
}

enum err explain_deadline(const struct client_transfer *transfer)
{
    if (!transfer->in_multi) /* it waits for a connection, or for its name */
        return transfer->stream.origin ? ERR_CONNECT_TIMEOUT : ERR_NAME_LOOKUP;
    if (transfer->not_http)
        return ERR_ANSWER_MALFORMED;
    return transfer->request->sends > 0 ? ERR_ANSWER_TIMEOUT : ERR_CONNECT_TIMEOUT;
}
