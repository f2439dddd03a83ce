/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/login.h"

#include "base/memory.h"
#include "broker/reply.h"
#include "broker/tls.h"

#include <amqp_tcp_socket.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CONNECT_S_MAX 3
#define HANDSHAKE_S_MAX 5
#define ANSWER_S_MAX 15 /* the first quorum queue of a node is slow */
#define FAREWELL_S_MAX 2
#define LOOKUP_S_MAX 1 /* per server, doubled for the second try */
#define LOOKUP_TRIES 2
#define FRAME_BYTES_MAX 131072 /* the broker's own maximum */
#define CREDENTIALS_BYTES 1024

/* One line: user:password. */
struct credentials {
    char text[CREDENTIALS_BYTES];
    const char *user, *password;
};

void broker_login_limit_lookups(void)
{
    if (res_init() != 0)
        return;
    _res.retrans = LOOKUP_S_MAX;
    _res.retry = LOOKUP_TRIES;
}

static enum err read_credentials(
    const char *path, struct credentials *ret_credentials, char ret_detail[BROKER_DETAIL_BYTES])
{
    char *text = ret_credentials->text;
    if (!path[0]) {
        ret_credentials->user = ret_credentials->password = "guest";
        return OK;
    }
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(ret_detail, BROKER_DETAIL_BYTES, "the broker's credentials %.300s: %s", path,
            strerror(errno));
        return ERR_CONFIG;
    }
    setvbuf(file, NULL, _IONBF, 0); /* avoids a second copy of the password in memory */
    char *line = fgets(text, CREDENTIALS_BYTES, file);
    fclose(file);
    char *colon = line ? strchr(line, ':') : NULL;
    if (!colon || colon == line) {
        snprintf(ret_detail, BROKER_DETAIL_BYTES,
            "the broker's credentials %.300s: the first line is not user:password", path);
        return ERR_CONFIG;
    }
    line[strcspn(line, "\r\n")] = '\0';
    *colon = '\0';
    ret_credentials->user = line;
    ret_credentials->password = colon + 1;
    return OK;
}

/* Connecting */

static void set_socket_options(int fd, unsigned heartbeat_s)
{
    int on = 1;
    unsigned unacked_ms_max = 2 * heartbeat_s * 1000;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* If the peer is gone, unacknowledged data is given up when its silence would be noticed. */
    if (unacked_ms_max)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms_max, sizeof unacked_ms_max);
}

/* The library does not report the kernel's error. */
static enum err complain_of_connecting(
    int status, const struct broker_tls *tls, char ret_detail[BROKER_DETAIL_BYTES])
{
    enum err failed = broker_err_from_status(status);
    const char *why = amqp_error_string2(status);
    if (failed == ERR_TLS && tls->why[0])
        why = tls->why;
    else if (failed == ERR_TLS && broker_tls_reason())
        why = broker_tls_reason();
    else if (status == AMQP_STATUS_SOCKET_ERROR)
        why = "it refuses connections, or there is no route to it";
    snprintf(
        ret_detail, BROKER_DETAIL_BYTES, "%s: %s", failed == ERR_TLS ? "TLS" : "connecting", why);
    return failed;
}

static enum err connect_link(const struct broker_login *login, struct broker_link *link,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    const struct broker_address *address = login->address;
    struct broker_tls tls = {.on_begin = login->on_socket, .owner = login->owner};
    amqp_socket_t *socket = NULL;
    enum err failed = OK;
    if (login->options->tls)
        failed = broker_tls_prepare(
            &tls, link->connection, login->options, address->host, &socket, ret_detail);
    else if (!(socket = amqp_tcp_socket_new(link->connection)))
        failed = ERR_NO_MEMORY;
    if (failed)
        return failed;
    int status = amqp_socket_open_noblock(
        socket, address->host, address->port, &(struct timeval){.tv_sec = CONNECT_S_MAX});
    if (status != AMQP_STATUS_OK)
        return complain_of_connecting(status, &tls, ret_detail);
    link->fd = amqp_socket_get_sockfd(socket);
    if (login->options->tls) {
        broker_tls_done(&tls);
        link->ssl = tls.ssl;
    } else {
        login->on_socket(login->owner, link->fd);
    }
    return OK;
}

/* Logging in */

static amqp_table_entry_t text_entry(const char *key, const char *text)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(text)}};
}

static amqp_table_entry_t true_entry(const char *key)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

static amqp_table_entry_t table_entry(const char *key, amqp_table_t table)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = table}};
}

static amqp_rpc_reply_t send_login(const struct broker_login *login, struct broker_link *link,
    const struct credentials *credentials)
{
    char machine[64] = "", name[160];
    gethostname(machine, sizeof machine - 1);
    snprintf(name, sizeof name, "penstock %s %s:%ld", login->purpose, machine, (long)getpid());
    amqp_table_entry_t capabilities[] = {true_entry("connection.blocked"),
        true_entry("consumer_cancel_notify"), true_entry("publisher_confirms"),
        true_entry("basic.nack"), true_entry("authentication_failure_close")};
    amqp_table_entry_t properties[] = {text_entry("product", "Penstock"),
        text_entry("version", PENSTOCK_VERSION),
        text_entry("information", "on rabbitmq-c " AMQP_VERSION_STRING),
        text_entry("connection_name", name),
        table_entry("capabilities", (amqp_table_t){.num_entries = 5, .entries = capabilities})};
    return amqp_login_with_properties(link->connection, login->options->vhost, 0, FRAME_BYTES_MAX,
        (int)login->heartbeat_s, &(amqp_table_t){.num_entries = 5, .entries = properties},
        AMQP_SASL_METHOD_PLAIN, credentials->user, credentials->password);
}

/* What remains of a TLS connection that the library has closed: enough to read the broker's last
 * alert. */
struct last_words {
    SSL *ssl; /* a reference; NULL: none */
    int fd;   /* a copy of the socket's; -1: none */
};

static struct last_words keep_last_words(const struct broker_link *link)
{
    struct last_words words = {.fd = -1};
    if (!link->ssl)
        return words;
    words.fd = fcntl(link->fd, F_DUPFD_CLOEXEC, 0);
    if (words.fd >= 0 && SSL_up_ref(link->ssl))
        words.ssl = link->ssl;
    return words;
}

/* Since TLS 1.3 a broker that rejects the client certificate reports it only after the handshake,
 * and closes. So a write may fail before its alert is read. (The socket does not block.) */
static void explain_tls(const struct last_words *words, char ret_detail[BROKER_DETAIL_BYTES])
{
    char unused;
    if (!broker_tls_reason() && words->ssl && SSL_set_fd(words->ssl, words->fd))
        (void)SSL_read(words->ssl, &unused, sizeof unused);
    if (broker_tls_reason())
        snprintf(ret_detail, BROKER_DETAIL_BYTES, "TLS: %s", broker_tls_reason());
}

static void drop_last_words(const struct last_words *words)
{
    SSL_free(words->ssl);
    ERR_clear_error();
    if (words->fd >= 0)
        close(words->fd);
}

static enum err log_in(const struct broker_login *login, struct broker_link *link,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    struct credentials credentials;
    enum err failed = read_credentials(login->options->credentials_file, &credentials, ret_detail);
    if (!failed) {
        struct last_words words = keep_last_words(link);
        amqp_set_handshake_timeout(link->connection, &(struct timeval){.tv_sec = HANDSHAKE_S_MAX});
        amqp_set_rpc_timeout(link->connection, &(struct timeval){.tv_sec = ANSWER_S_MAX});
        amqp_rpc_reply_t reply = send_login(login, link, &credentials);
        failed = broker_reply_judge(&reply, "login", ret_detail);
        if (failed == ERR_TLS)
            explain_tls(&words, ret_detail);
        drop_last_words(&words);
    }
    OPENSSL_cleanse(&credentials, sizeof credentials);
    if (failed)
        return failed;
    link->heartbeat_s = (unsigned)amqp_get_heartbeat(link->connection);
    link->frame_bytes_max = (uint32_t)amqp_get_frame_max(link->connection);
    set_socket_options(link->fd, link->heartbeat_s);
    return OK;
}

enum err broker_log_in(const struct broker_login *login, struct broker_link **ret_link,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    struct broker_link *link = memory_new(sizeof *link);
    link->fd = -1;
    link->connection = amqp_new_connection();
    snprintf(link->peer, sizeof link->peer, "%s:%u", login->address->host, login->address->port);
    enum err failed = link->connection ? connect_link(login, link, ret_detail) : ERR_NO_MEMORY;
    if (!failed)
        failed = log_in(login, link, ret_detail);
    if (failed) {
        broker_link_free(link);
        return failed;
    }
    *ret_link = link;
    return OK;
}

enum err broker_open_channel(
    struct broker_link *link, amqp_channel_t channel, char ret_detail[BROKER_DETAIL_BYTES])
{
    amqp_channel_open(link->connection, channel);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->connection);
    return broker_reply_judge(&reply, "opening a channel", ret_detail);
}

enum err broker_close_channel(
    struct broker_link *link, amqp_channel_t channel, char ret_detail[BROKER_DETAIL_BYTES])
{
    amqp_rpc_reply_t reply = amqp_channel_close(link->connection, channel, AMQP_REPLY_SUCCESS);
    return broker_reply_judge(&reply, "closing a channel", ret_detail);
}

void broker_log_out(struct broker_link *link)
{
    amqp_set_rpc_timeout(link->connection, &(struct timeval){.tv_sec = FAREWELL_S_MAX});
    amqp_connection_close(link->connection, AMQP_REPLY_SUCCESS);
}

enum err broker_login_finish(struct broker_link *link)
{
    amqp_maybe_release_buffers(link->connection);
    /* Between two whole frames this only sets values in the library. Nothing is sent to the
     * broker. */
    int status = amqp_tune_connection(link->connection, amqp_get_channel_max(link->connection),
        amqp_get_frame_max(link->connection), 0);
    return status == AMQP_STATUS_OK ? OK : broker_err_from_status(status);
}
