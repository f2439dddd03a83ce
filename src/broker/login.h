/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens one connection to one address and logs in. It blocks, so only the connector's thread calls
 * it. Limits: 3 s to connect (with TLS), 5 s for the login, 15 s for each later answer
 * (librabbitmq's calls on the link's connection). Name look-ups have their own limit. Internal to
 * broker/.
 *
 * Until broker_login_finish, librabbitmq uses the connection, heartbeats included. After it, the
 * link does.
 */
#ifndef PENSTOCK_BROKER_LOGIN_H
#define PENSTOCK_BROKER_LOGIN_H

#include "broker/link.h"

struct broker_login {
    const struct broker_options *options;
    const struct broker_address *address;
    const char *purpose; /* part of the connection's name in the broker's lists */
    unsigned heartbeat_s;
    /* Called when there is a socket. Shutting it down ends the login. Its close is not reported. */
    void (*on_socket)(void *owner, int fd);
    void *owner;
};

/* Limits the time of the calling thread's name look-ups to some seconds. Call it once, before the
 * first login. */
void broker_login_limit_lookups(void);

/* ERR_CONNECT, ERR_CONNECT_TIMEOUT, ERR_TLS, ERR_PERMISSION, ERR_UNAVAILABLE, ERR_CONFIG (a file
 * cannot be used). */
enum err broker_log_in(const struct broker_login *login, struct broker_link **ret_link,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;

/* Opens a channel. Only before broker_login_finish. */
enum err broker_open_channel(struct broker_link *link, amqp_channel_t channel,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;
enum err broker_close_channel(struct broker_link *link, amqp_channel_t channel,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;

/* Closes a link that is not handed on: a broker logs connections that end without connection.close.
 * Takes at most 2 s. */
void broker_log_out(struct broker_link *link);

/* Ends librabbitmq's use: no answer is expected any more, and the link can be put on a loop. */
enum err broker_login_finish(struct broker_link *link) MUST_CHECK;

#endif
