/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens one connection to one address and logs in; blocks, so only the connector's thread calls it.
 * Connecting (and TLS) takes 3 s at most, the login 5 s, and each answer behind it (librabbitmq's
 * calls on the link's connection) is awaited for 15 s. A name is looked up with a short patience of
 * its own. Internal to broker/.
 *
 * Until broker_login_finish the connection is librabbitmq's, heartbeats included; from then on it
 * is a link's.
 */
#ifndef PENSTOCK_BROKER_LOGIN_H
#define PENSTOCK_BROKER_LOGIN_H

#include "broker/link.h"

struct broker_login {
    const struct broker_options *options;
    const struct broker_address *address;
    const char *purpose; /* in the connection's name, for whoever lists the broker's connections */
    unsigned heartbeat_s;
    /* There is a socket: whoever shuts it down ends what is in flight. It is closed without notice.
     * */
    void (*on_socket)(void *owner, int fd);
    void *owner;
};

/* The calling thread's look-ups of names give up after some seconds. Once, before the first login.
 * */
void broker_login_limit_lookups(void);

/* ERR_CONNECT, ERR_CONNECT_TIMEOUT, ERR_TLS, ERR_PERMISSION, ERR_UNAVAILABLE, ERR_CONFIG (a file
 * can't be used). */
enum err broker_log_in(const struct broker_login *login, struct broker_link **ret_link,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;

/* A channel, as long as the connection is librabbitmq's. */
enum err broker_open_channel(struct broker_link *link, amqp_channel_t channel,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;
enum err broker_close_channel(struct broker_link *link, amqp_channel_t channel,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;

/* Instead of handing the link on: a broker logs connections that end without a word. Takes 2 s at
 * most. */
void broker_log_out(struct broker_link *link);

/* No answer is awaited any more: the link is ready for its owner's loop. */
enum err broker_login_finish(struct broker_link *link) MUST_CHECK;

#endif
