/* SPDX-License-Identifier: Apache-2.0 */
#include "client/transfer.h"

#include "base/memory.h"
#include "client/retry_after.h"
#include "runtime/loop.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* libcurl's callbacks. The context of each is the transfer. */

static int64_t time_left_us(const struct client_transfer *transfer, int64_t timeout_us)
{
    return transfer->started_mono_us + timeout_us - clock_mono_us();
}

/* Limits the time for the rest of the answer. */
static void bound_rest(struct client_transfer *transfer, int64_t rest_us)
{
    int64_t left_us = time_left_us(transfer, transfer->request->answer_timeout_us);
    timer_arm(transfer->loop, &transfer->deadline, rest_us < left_us ? rest_us : left_us);
}

/* Returns false for a line that libcurl accepts as a status line although it is none: it reads
 * "HTTP/abc" as 200. */
static bool begin_response(struct client_transfer *transfer, struct slice line)
{
    const char prefix[] = "HTTP/";
    size_t len = sizeof prefix - 1;
    const char *space = memchr(line.data, ' ', line.len);
    if (!space || line.len <= len || strncasecmp(line.data, prefix, len) != 0 ||
        !isdigit((unsigned char)line.data[len]))
        return false;
    /* A NUL follows the line, and libcurl has checked three digits. */
    transfer->status = atoi(space);
    transfer->in_headers = true;
    transfer->request->retry_after_us = 0;
    return true;
}

static void end_headers(struct client_transfer *transfer)
{
    transfer->in_headers = false;
    if (transfer->status < 200)
        return;
    transfer->answered = true;
    transfer->request->excerpt_len = 0; /* from here on it shows the body */
    bound_rest(transfer, transfer->status < 300 ? ANSWER_REST_US_2XX : ANSWER_REST_US_OTHER);
}

/* Of several fields the longest counts. */
static void note_retry_after(struct client_request *request, struct slice value)
{
    int64_t us = retry_after_parse(value, clock_wall_us());
    if (us > request->retry_after_us)
        request->retry_after_us = us;
}

static size_t on_header_line(char *data, size_t size, size_t count, void *context)
{
    struct client_transfer *transfer = context;
    struct slice line = slice_of(data, size * count);
    if (!transfer->answered)
        evidence_show(&transfer->evidence, transfer->request, line);
    transfer->evidence.answer_head_bytes += line.len;
    if (transfer->evidence.answer_head_bytes > ANSWER_HEADER_BYTES_MAX)
        return 0;
    if (transfer->answered) /* trailers */
        return line.len;
    const char name[] = "retry-after:";
    if (!transfer->in_headers) {
        transfer->not_http = !begin_response(transfer, line);
        return transfer->not_http ? 0 : line.len;
    }
    if (line.data[0] == '\r' || line.data[0] == '\n')
        end_headers(transfer);
    else if (line.len >= sizeof name - 1 && strncasecmp(line.data, name, sizeof name - 1) == 0)
        note_retry_after(
            transfer->request, slice_of(line.data + sizeof name - 1, line.len - (sizeof name - 1)));
    return line.len;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct client_transfer *transfer = context;
    size_t len = size * count;
    if (!transfer->answered && !transfer->not_http) { /* CURLOPT_HTTP09_ALLOWED */
        transfer->not_http = true;
        bound_rest(transfer, ANSWER_REST_US_2XX);
    }
    evidence_show(&transfer->evidence, transfer->request, slice_of(data, len));
    transfer->evidence.answer_body_bytes += len;
    return transfer->evidence.answer_body_bytes > ANSWER_BODY_BYTES_MAX ? 0 : len;
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
    evidence_note_send(&transfer->evidence, transfer->easy);
    if (transfer->sent_last)
        *transfer->sent_last = transfer;
    return CURL_PREREQFUNC_OK;
}

/* Returns NULL if the error says something about the peer, or is unknown. */
static const char *shortage_of(int error)
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

/* Returns why there is no connection, if the reason is on this machine. A missing route to one
 * address is the client's problem, if others have a route. */
static const char *find_shortage(const struct client_transfer *transfer, CURLcode code)
{
    long error = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &error);
    if (code == CURLE_SSL_CACERT_BADFILE)
        return "CA certificates that can be read";
    if (code == CURLE_OUT_OF_MEMORY)
        return "memory";
    if (code != CURLE_COULDNT_CONNECT)
        return NULL;
    if (error == ENETUNREACH || error == ENETDOWN || error == EHOSTUNREACH)
        return has_route(AF_INET) || has_route(AF_INET6) ? NULL : "network: there is no route";
    /* For IPv6, a machine without IPv6 reports the same error. */
    bool is_alien = transfer->tried.any.sa_family == AF_INET6 && !has_route(AF_INET6);
    return error == EADDRNOTAVAIL && is_alien ? NULL : shortage_of((int)error);
}

static curl_socket_t on_open_socket(
    void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct client_transfer *transfer = context;
    if (transfer->request->sends > 0) /* a repeat that on_before_request refused */
        return CURL_SOCKET_BAD;
    if (!address_guard_allows(&transfer->options->guard, &address->addr)) {
        transfer->address_refused = true;
        return CURL_SOCKET_BAD;
    }
    transfer->evidence.socket_opened = true;
    memcpy(&transfer->tried, &address->addr,
        address->addrlen < sizeof transfer->tried ? address->addrlen : sizeof transfer->tried);
    if (transfer->addresses.count > 1 && !timer_is_armed(&transfer->turn))
        timer_arm(transfer->loop, &transfer->turn, ADDRESS_US);
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        transfer->shortage = shortage_of(errno);
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
        1}, /* not to accept it: on_body sees what is not HTTP, and ends the transfer */
    {CURLOPT_HTTP_CONTENT_DECODING, 0},
    {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS},
    {CURLOPT_TCP_NODELAY, 1},
    {CURLOPT_TCP_KEEPALIVE, 1},
    {CURLOPT_SSL_VERIFYPEER, 1},
    {CURLOPT_SSL_VERIFYHOST, 2},
    {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
};

static bool set_texts(CURL *easy, const struct client_options *options)
{
    const char *protocols = options->allow_http ? "http,https" : "https";
    if (curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK)
        return false;
    if (!options->ca_file || !*options->ca_file)
        return true;
    /* Otherwise Debian's libcurl would trust the system's directory as well. */
    return curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
}

static bool set_callbacks(CURL *easy, struct client_transfer *transfer)
{
    return curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header_line) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
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
           set_texts(transfer->easy, transfer->options) && set_callbacks(transfer->easy, transfer);
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

enum err transfer_aim(struct client_transfer *transfer, struct client_request *request)
{
    transfer->request = request;
    request->transfer = transfer;
    transfer->started_mono_us = clock_mono_us();
    transfer->shortage = NULL;
    transfer->address_refused = transfer->in_headers = transfer->answered = transfer->not_http =
        false;
    transfer->status = 0;
    transfer->turns = 0;
    transfer->addresses.count = 0;
    if (request->headers_count > CLIENT_HEADERS_MAX)
        return ERR_BUG;
    evidence_begin(&transfer->evidence, request);
    const char *problem;
    enum err e = target_parse(
        transfer->url, request->url, transfer->options->allow_http, &transfer->target, &problem);
    if (e != OK)
        return e;
    int64_t first_us = request->connect_timeout_us < request->answer_timeout_us
                           ? request->connect_timeout_us
                           : request->answer_timeout_us;
    timer_arm(transfer->loop, &transfer->deadline, first_us);
    return OK;
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

static void print_route(const struct client_transfer *transfer, char ret_name[ROUTE_NAME_BYTES])
{
    snprintf(ret_name, ROUTE_NAME_BYTES, "%llu.route.invalid",
        (unsigned long long)transfer->addresses.route);
}

static void write_pin(struct client_transfer *transfer)
{
    char name[ROUTE_NAME_BYTES];
    print_route(transfer, name);
    snprintf(transfer->connected_to, sizeof transfer->connected_to, "::%s:", name);
    size_t len = (size_t)snprintf(
        transfer->pin, sizeof transfer->pin, "%s:%u:", name, transfer->target.port);
    for (unsigned i = 0; i < transfer->addresses.count; i++) {
        if (i > 0)
            transfer->pin[len++] = ',';
        len += print_address(
            &transfer->addresses.items[i], transfer->pin + len, sizeof transfer->pin - len);
        assert(len < sizeof transfer->pin);
    }
}

enum err transfer_pin(struct client_transfer *transfer, const struct address_set *addresses)
{
    struct address_set *allowed = &transfer->addresses;
    allowed->count = 0;
    allowed->route = addresses->route;
    for (unsigned i = 0; i < addresses->count; i++)
        if (address_guard_allows(&transfer->options->guard, &addresses->items[i].any))
            allowed->items[allowed->count++] = addresses->items[i];
    transfer->pin[0] = '\0';
    if (!target_is_address(&transfer->target))
        write_pin(transfer);
    return allowed->count > 0 ? OK : ERR_ADDRESS_REFUSED;
}

bool transfer_may_turn(const struct client_transfer *transfer)
{
    curl_off_t connected_us = 0; /* 0: not yet */
    curl_easy_getinfo(transfer->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    return transfer->in_multi && transfer->request->sends == 0 && connected_us == 0 &&
           transfer->turns + 1 < transfer->addresses.count;
}

void transfer_turn(struct client_transfer *transfer)
{
    int place = address_set_find(&transfer->addresses, &transfer->tried);
    transfer->turns++;
    address_set_turn(&transfer->addresses, place >= 0 ? (unsigned)place + 1 : 1);
    write_pin(transfer);
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
    int64_t left_us = time_left_us(transfer, transfer->request->connect_timeout_us);
    return left_us < US_PER_MS ? 1 : (long)(left_us / US_PER_MS);
}

enum err transfer_load(struct client_transfer *transfer)
{
    const struct client_request *request = transfer->request;
    bool is_name = !target_is_address(&transfer->target);
    /* With NULL libcurl would read stdin. */
    const char *body = request->body.len ? request->body.data : "";
    CURL *easy = transfer->easy;
    if (curl_easy_setopt(easy, CURLOPT_CURLU, transfer->url) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_RESOLVE, list_pins(transfer)) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_CONNECT_TO,
            is_name ? link_node(&transfer->connect_to, transfer->connected_to, NULL) : NULL) !=
            CURLE_OK ||
        /* libcurl calls it also for addresses in URLs, which need no look-up. */
        curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, is_name ? on_own_look_up : NULL) !=
            CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list_headers(transfer)) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) !=
            CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms(transfer)) !=
            CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long)(request->once || request->fresh)) !=
            CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, (long)request->once) != CURLE_OK)
        return ERR_NO_MEMORY;
    timer_arm(
        transfer->loop, &transfer->deadline, time_left_us(transfer, request->answer_timeout_us));
    return OK;
}

bool transfer_wants_look_ahead(const struct client_transfer *transfer)
{
    const char encrypted[] = "https:";
    return transfer->in_multi && transfer->request->once &&
           strncasecmp(transfer->request->url, encrypted, sizeof encrypted - 1) != 0;
}

void transfer_look_ahead(struct client_transfer *transfer, int fd)
{
    evidence_look_ahead(&transfer->evidence, transfer->request, fd);
}

/* The end of a request */

static enum err explain_begun(CURLcode code)
{
    switch (code) {
    case CURLE_SEND_ERROR:
        return ERR_SEND;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_ANSWER_TIMEOUT;
    case CURLE_UNSUPPORTED_PROTOCOL: /* a status line of no known version */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WRITE_ERROR:   /* ANSWER_HEADER_BYTES_MAX */
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
        return ERR_TLS;
    default:
        return ERR_CONNECT;
    }
}

enum err transfer_explain(struct client_transfer *transfer, CURLcode code)
{
    if (transfer->not_http)
        return ERR_ANSWER_MALFORMED;
    if (transfer->request->sends > 0)
        return explain_begun(code);
    if (!transfer->shortage)
        transfer->shortage = find_shortage(transfer, code);
    if (transfer->shortage)
        return ERR_SHORTAGE;
    return transfer->address_refused ? ERR_ADDRESS_REFUSED : explain_not_begun(code);
}

enum err transfer_explain_deadline(const struct client_transfer *transfer)
{
    if (!transfer->in_multi)
        return ERR_NAME_LOOKUP;
    if (transfer->not_http)
        return ERR_ANSWER_MALFORMED;
    return transfer->request->sends > 0 ? ERR_ANSWER_TIMEOUT : ERR_CONNECT_TIMEOUT;
}

static void note_unpin(struct client_transfer *transfer)
{
    char name[ROUTE_NAME_BYTES];
    print_route(transfer, name);
    transfer->unpin[0] = '\0';
    if (!target_is_address(&transfer->target))
        snprintf(transfer->unpin, sizeof transfer->unpin, "-%s:%u", name, transfer->target.port);
}

struct client_request *transfer_report(struct client_transfer *transfer, enum err error)
{
    struct client_request *request = TAKE(transfer->request);
    timer_disarm(transfer->loop, &transfer->deadline);
    timer_disarm(transfer->loop, &transfer->turn);
    if (transfer->in_multi)
        note_unpin(transfer);
    transfer->in_multi = false;
    request->transfer = NULL;
    request->duration_us = clock_mono_us() - transfer->started_mono_us;
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
        .error = transfer->answered ? OK : error,
        .request_begun = request->sends > 0,
    };
    if (!transfer->answered)
        request->retry_after_us = 0;
    return request;
}
