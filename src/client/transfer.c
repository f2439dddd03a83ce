/* SPDX-License-Identifier: Apache-2.0 */
#include "client/transfer.h"

#include "base/memory.h"
#include "client/answer.h"
#include "client/explain.h"
#include "runtime/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t transfer_time_left_us(const struct client_transfer *transfer, int64_t timeout_us)
{
    return transfer->started_mono_us + timeout_us - clock_mono_us();
}

/* libcurl's callbacks. The context of each is the transfer. */

/* Notes what the connection is that the request is sent on. */
static void note_connection(struct client_transfer *transfer)
{
    struct client_request *request = transfer->request;
    bool made = transfer->evidence.socket_opened, warm = !made;
    bool http_2 = tls_note_connected(transfer->easy, made, request->evidence.tls);
    snprintf(request->evidence.http, sizeof request->evidence.http, http_2 ? "2" : "1.1");
    if (transfer->stream.way == MULTIPLEX_OPEN && transfer->stream.connection) {
        multiplex_note_made(transfer->multiplex, &transfer->stream, http_2, clock_mono_us());
        if (!http_2) /* its name is not used again */
            curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
    }
    if (transfer->stream.connection)
        warm = multiplex_note_sent(&transfer->stream, clock_mono_us());
    evidence_note_send(&transfer->evidence, transfer->easy, warm);
}

/*
 * libcurl is about to write the request. This is the first time, or libcurl repeats it because a
 * kept-alive connection was dead or HTTP/2 refused the stream. A repeat would be another attempt.
 * The caller must make and number it, so it is refused here.
 */
static int on_before_request(
    void *context, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct client_transfer *transfer = context;
    struct client_request *request = transfer->request;
    if (request->sends > 0)
        return CURL_PREREQFUNC_ABORT;
    request->sends++;
    if (*remote_ip)
        evidence_print_peer(remote_ip, (unsigned)remote_port, strchr(remote_ip, ':') != NULL,
            request->evidence.peer);
    note_connection(transfer);
    if (transfer->sent_last)
        *transfer->sent_last = transfer;
    if (transfer->inflow)
        inflow_send(transfer->inflow, &transfer->received);
    return CURL_PREREQFUNC_OK;
}

static curl_socket_t on_open_socket(
    void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct client_transfer *transfer = context;
    if (transfer->request->sends > 0) /* a repeat that on_before_request refused */
        return CURL_SOCKET_BAD;
    if (transfer->stream.way == MULTIPLEX_JOIN && transfer->stream.connection) {
        transfer->join_refused = true;
        return CURL_SOCKET_BAD;
    }
    if (!address_guard_allows(&transfer->options->guard, &address->addr)) {
        transfer->address_refused = true;
        return CURL_SOCKET_BAD;
    }
    transfer->evidence.socket_opened = true;
    memcpy(&transfer->tried, &address->addr,
        address->addrlen < sizeof transfer->tried ? address->addrlen : sizeof transfer->tried);
    if (transfer->addresses.count > 1 && !timer_is_armed(&transfer->turn))
        timer_arm(transfer->loop, &transfer->turn, transfer->address_us);
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        transfer->shortage = explain_shortage(errno);
    else if (transfer->inflow)
        inflow_open(transfer->inflow, fd, &transfer->received);
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* Not called while the pin is valid. libcurl's own look-up would block the loop, and its answer
 * would bypass the guard. */
static int on_own_look_up(void *resolver_state, void *reserved, void *context)
{
    return 1;
}

/* Creation */

static const struct {
    CURLoption option;
    long value;
} fixed_numbers[] = {
    {CURLOPT_POST, 1},
    {CURLOPT_NOSIGNAL, 1},
    {CURLOPT_NOPROGRESS, 1},
    {CURLOPT_FOLLOWLOCATION, 0},
    {CURLOPT_HTTP09_ALLOWED,
        1}, /* not to accept it: answer_on_body sees what is not HTTP, and ends the transfer */
    {CURLOPT_HTTP_CONTENT_DECODING, 0},
    {CURLOPT_TCP_NODELAY, 1},
    {CURLOPT_TCP_KEEPALIVE, 1},
    {CURLOPT_SSL_VERIFYPEER, 1},
    {CURLOPT_SSL_VERIFYHOST, 2},
    {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
};

static bool set_texts(CURL *easy, const struct client_options *options)
{
    const char *protocols = options->allow_http ? "http,https" : "https";
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
}

static bool set_callbacks(CURL *easy, struct client_transfer *transfer)
{
    return curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, answer_on_header_line) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, answer_on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_before_request) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer) == CURLE_OK;
}

static bool build(struct client_transfer *transfer)
{
    transfer->easy = curl_easy_init();
    transfer->url = curl_url();
    transfer->dns_cache = curl_share_init();
    if (!transfer->easy || !transfer->url || !transfer->dns_cache)
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(fixed_numbers); i++)
        if (curl_easy_setopt(transfer->easy, fixed_numbers[i].option, fixed_numbers[i].value) !=
            CURLE_OK)
            return false;
    return curl_share_setopt(transfer->dns_cache, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) ==
               CURLSHE_OK &&
           curl_easy_setopt(transfer->easy, CURLOPT_SHARE, transfer->dns_cache) == CURLE_OK &&
           set_texts(transfer->easy, transfer->options) &&
           tls_prepare(transfer->easy, &transfer->tls, transfer->options) &&
           set_callbacks(transfer->easy, transfer);
}

struct client_transfer *transfer_new(
    struct client *client, struct loop *loop, const struct client_options *options)
{
    struct client_transfer *transfer = memory_new(sizeof *transfer);
    transfer->client = client;
    transfer->loop = loop;
    transfer->options = options;
    list_init(&transfer->link);
    list_init(&transfer->nudge_link);
    list_init(&transfer->repeat_link);
    if (!build(transfer)) {
        transfer_free(transfer);
        return NULL;
    }
    return transfer;
}

void transfer_free(struct client_transfer *transfer)
{
    if (!transfer)
        return;
    curl_easy_cleanup(transfer->easy); /* before the cache that it uses */
    curl_share_cleanup(transfer->dns_cache);
    curl_url_cleanup(transfer->url);
    free(transfer);
}

/* One request */

/* Until then the transfer waits for its addresses or for a connection. */
static void arm_first_deadline(struct client_transfer *transfer)
{
    const struct client_request *request = transfer->request;
    int64_t left_us = transfer_time_left_us(transfer, request->answer_timeout_us);
    timer_arm(transfer->loop, &transfer->deadline,
        request->connect_timeout_us < left_us ? request->connect_timeout_us : left_us);
}

static void begin_to_receive(struct client_transfer *transfer)
{
    transfer->received = (struct inflow_user){0};
    list_init(&transfer->received.link);
}

enum err transfer_aim(struct client_transfer *transfer, struct client_request *request)
{
    transfer->request = request;
    request->transfer = transfer;
    transfer->started_mono_us = transfer->connect_from_mono_us = clock_mono_us();
    transfer->shortage = NULL;
    transfer->address_refused = transfer->join_refused = transfer->stream_failed =
        transfer->unprocessed = transfer->in_headers = transfer->answered = transfer->not_http =
            false;
    transfer->status = 0;
    transfer->turns = 0;
    transfer->address_us = ADDRESS_US_MAX;
    transfer->addresses.count = 0;
    transfer->tried.any.sa_family = AF_UNSPEC;
    transfer->stream = (struct multiplex_stream){.way = MULTIPLEX_HTTP_1};
    transfer->own_connection = 0;
    transfer->evidence = (struct evidence){0};
    begin_to_receive(transfer);
    if (request->headers_count > CLIENT_HEADERS_MAX || (request->get && request->body.len > 0) ||
        (request->answer_wanted && (!request->answer || request->answer_size == 0)))
        return ERR_BUG;
    evidence_begin(&transfer->evidence, request);
    const char *problem;
    enum err e = target_parse(
        transfer->url, request->url, transfer->options->allow_http, &transfer->target, &problem);
    if (e != OK)
        return e;
    arm_first_deadline(transfer);
    return OK;
}

void transfer_begin_again(struct client_transfer *transfer)
{
    struct client_request *request = transfer->request;
    request->unprocessed_sends++;
    request->sends = 0;
    transfer->unprocessed = false;
    begin_to_receive(transfer);
    transfer->connect_from_mono_us = clock_mono_us();
    evidence_begin_again(&transfer->evidence, request);
    timer_disarm(transfer->loop, &transfer->turn);
    arm_first_deadline(transfer);
}

/* The nodes are part of the transfer: libcurl only reads them. */
static struct curl_slist *link_node(
    struct curl_slist *node, const char *text, struct curl_slist *next)
{
    *node = (struct curl_slist){.data = (char *)text, .next = next};
    return node;
}

static struct curl_slist *list_headers(struct client_transfer *transfer)
{
    const struct client_request *request = transfer->request;
    /* An empty Expect: otherwise libcurl holds back long bodies for a second and waits for "100
     * Continue". */
    struct curl_slist *list = link_node(&transfer->headers[CLIENT_HEADERS_MAX], "Expect:", NULL);
    for (unsigned i = request->headers_count; i-- > 0;)
        list = link_node(&transfer->headers[i], request->headers[i], list);
    return list;
}

static struct curl_slist *list_pins(struct client_transfer *transfer)
{
    struct curl_slist *list = NULL;
    if (*transfer->pin)
        list = link_node(&transfer->resolve[1], transfer->pin, list);
    if (*transfer->unpin)
        list = link_node(&transfer->resolve[0], transfer->unpin, list);
    return list;
}

static long connect_timeout_ms(const struct client_transfer *transfer)
{
    int64_t passed_us = clock_mono_us() - transfer->connect_from_mono_us;
    int64_t left_us = transfer->request->connect_timeout_us - passed_us;
    return left_us < US_PER_MS ? 1 : (long)(left_us / US_PER_MS);
}

/* A connection that other requests may use has HTTP/2 only if multiplex.h gave it a number. */
static long http_version(const struct client_transfer *transfer)
{
    return route_connection_number(transfer) ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
}

static bool load_route(struct client_transfer *transfer)
{
    const struct client_request *request = transfer->request;
    CURL *easy = transfer->easy;
    bool is_named = *transfer->name, is_shared = transfer->stream.connection != NULL;
    bool is_pinned = is_named || !target_is_address(&transfer->target);
    return curl_easy_setopt(easy, CURLOPT_CURLU, transfer->url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_RESOLVE, list_pins(transfer)) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECT_TO,
               is_named ? link_node(&transfer->connect_to, transfer->connected_to, NULL) : NULL) ==
               CURLE_OK &&
           /* libcurl calls it also for addresses in URLs, which need no look-up. */
           curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION,
               is_pinned ? on_own_look_up : NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms(transfer)) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, http_version(transfer)) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT,
               (long)(request->once || (request->fresh && !is_shared))) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, (long)request->once) == CURLE_OK;
}

static bool load_request(struct client_transfer *transfer)
{
    const struct client_request *request = transfer->request;
    CURL *easy = transfer->easy;
    /* With NULL libcurl would read stdin. */
    const char *body = request->body.len ? request->body.data : "";
    if (curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list_headers(transfer)) != CURLE_OK)
        return false;
    if (request->get)
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    return curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) == CURLE_OK && /* makes it a POST */
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) ==
               CURLE_OK;
}

enum err transfer_load(struct client_transfer *transfer)
{
    const struct client_request *request = transfer->request;
    if (!load_route(transfer) || !load_request(transfer) ||
        !tls_load(transfer->easy, &transfer->tls, transfer->options, request->tls))
        return ERR_NO_MEMORY;
    evidence_note_load(&transfer->evidence);
    timer_arm(transfer->loop, &transfer->deadline,
        transfer_time_left_us(transfer, request->answer_timeout_us));
    return OK;
}

bool transfer_wants_look_ahead(const struct client_transfer *transfer)
{
    return transfer->in_multi && transfer->request->once && !route_is_encrypted(transfer);
}

void transfer_look_ahead(struct client_transfer *transfer, int fd)
{
    evidence_look_ahead(&transfer->evidence, transfer->request, fd);
}

void transfer_unload(struct client_transfer *transfer)
{
    transfer->in_multi = false;
    if (transfer->inflow)
        inflow_end(transfer->inflow, &transfer->received);
    route_unpin(transfer);
}

/* The last address that was tried. */
static void report_peer(const struct client_transfer *transfer, struct client_request *request)
{
    char ip[INET6_ADDRSTRLEN];
    const union address *tried = &transfer->tried;
    bool is_ipv6 = tried->any.sa_family == AF_INET6;
    if (request->sends > 0 || tried->any.sa_family == AF_UNSPEC)
        return;
    inet_ntop(tried->any.sa_family,
        is_ipv6 ? (const void *)&tried->ipv6.sin6_addr : &tried->ipv4.sin_addr, ip, sizeof ip);
    evidence_print_peer(ip, transfer->target.port, is_ipv6, request->evidence.peer);
}

struct client_request *transfer_report(struct client_transfer *transfer, enum err error)
{
    struct client_request *request = TAKE(transfer->request);
    timer_disarm(transfer->loop, &transfer->deadline);
    timer_disarm(transfer->loop, &transfer->turn);
    if (transfer->in_multi)
        transfer_unload(transfer);
    request->transfer = NULL;
    request->duration_us = clock_mono_us() - transfer->started_mono_us;
    report_peer(transfer, request);
    if (transfer->tls.begun_mono_us > 0)
        evidence_note_tcp(&transfer->evidence, transfer->tls.begun_mono_us);
    if (transfer->inflow)
        inflow_end(transfer->inflow, &transfer->received);
    if (transfer->received.too_large)
        transfer->evidence.answer_raw_bytes = transfer->received.bytes;
    evidence_report(&transfer->evidence, transfer->easy, request);
    if (error == ERR_SEND &&
        request->evidence.request_complete) /* only libcurl's repeat was not sent */
        error = ERR_ANSWER_LOST;
    if (error == ERR_NO_MEMORY && request->sends == 0) {
        error = ERR_SHORTAGE;
        transfer->shortage = "memory";
    }
    request->shortage = error == ERR_SHORTAGE ? transfer->shortage : NULL;
    request->end = (struct attempt_end){
        .http_status = transfer->answered ? transfer->status : 0,
        .error = transfer->answered && !request->answer_wanted ? OK : error,
        .request_begun = request->sends > 0 && error != ERR_TLS,
    };
    if (!transfer->answered)
        request->retry_after_us = 0;
    return request;
}
