/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tls.h"

#include <amqp_ssl_socket.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static struct broker_tls *tls_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* librabbitmq does not expose its SSL. OpenSSL passes it to the info callback. */
static void on_progress(const SSL *ssl, int where, int ret)
{
    struct broker_tls *tls = tls_of(ssl);
    if (!tls || tls->ssl || !(where & SSL_CB_HANDSHAKE_START))
        return;
    tls->ssl = (SSL *)ssl;
    if (tls->on_begin)
        tls->on_begin(tls->owner, SSL_get_fd(ssl));
}

static int on_verified(int is_good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct broker_tls *tls = ssl ? tls_of(ssl) : NULL;
    if (!is_good && tls)
        snprintf(tls->why, sizeof tls->why, "%s",
            X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
    return is_good;
}

static bool expect_peer(SSL_CTX *context, const char *host)
{
    X509_VERIFY_PARAM *expected = SSL_CTX_get0_param(context);
    struct in6_addr address;
    bool is_address =
        inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
    return is_address ? X509_VERIFY_PARAM_set1_ip_asc(expected, host) == 1
                      : X509_VERIFY_PARAM_set1_host(expected, host, 0) == 1;
}

static enum err complain(const char *what, const char *file, char ret_detail[BROKER_DETAIL_BYTES])
{
    char why[160];
    unsigned long error = ERR_peek_last_error();
    ERR_error_string_n(error, why, sizeof why);
    ERR_clear_error();
    snprintf(
        ret_detail, BROKER_DETAIL_BYTES, "%s %.300s: %s", what, file, error ? why : "not usable");
    return ERR_CONFIG;
}

static enum err load_files(amqp_socket_t *socket, SSL_CTX *context,
    const struct broker_options *options, char ret_detail[BROKER_DETAIL_BYTES])
{
    ERR_clear_error();
    if (!options->ca_file[0]) {
        if (SSL_CTX_set_default_verify_paths(context) != 1)
            return complain("the system's certificate authorities", "", ret_detail);
    } else if (amqp_ssl_socket_set_cacert(socket, options->ca_file) != AMQP_STATUS_OK) {
        return complain("the broker's certificate authority", options->ca_file, ret_detail);
    }
    if (options->certificate_file[0] && amqp_ssl_socket_set_key(socket, options->certificate_file,
                                            options->key_file) != AMQP_STATUS_OK)
        return complain(
            "our certificate and key for the broker", options->certificate_file, ret_detail);
    return OK;
}

enum err broker_tls_prepare(struct broker_tls *tls, amqp_connection_state_t connection,
    const struct broker_options *options, const char *host, amqp_socket_t **ret_socket,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    amqp_socket_t *socket = amqp_ssl_socket_new(connection);
    if (!socket)
        return ERR_NO_MEMORY;
    SSL_CTX *context = tls->context = amqp_ssl_socket_get_context(socket);
    amqp_ssl_socket_set_verify_hostname(socket, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_info_callback(context, on_progress);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verified);
    if (!expect_peer(context, host))
        return ERR_NO_MEMORY;
    enum err failed = load_files(socket, context, options, ret_detail);
    if (!failed)
        *ret_socket = socket;
    return failed;
}

void broker_tls_done(struct broker_tls *tls)
{
    SSL_CTX_set_info_callback(tls->context, NULL);
    SSL_set_info_callback(tls->ssl, NULL);
    SSL_CTX_set_app_data(tls->context, NULL);
}

const char *broker_tls_reason(void)
{
    return ERR_reason_error_string(ERR_peek_last_error());
}
