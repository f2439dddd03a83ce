/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway as the list of its parts: started in order, stopped in reverse.
 *
 *   installation, accounts, [broker: whose delivery is, connector], delivery (made), journals, delivery (started),
 *   reader, admin, [replica], ingress
 *
 * What stands in brackets belongs to rabbitmq mode; a gateway without delivery in its roles has no
 * delivery threads, and its journals are outboxes.
 */
#ifndef PENSTOCK_MAIN_GATEWAY_H
#define PENSTOCK_MAIN_GATEWAY_H

#include "accounts/accounts.h"
#include "config/config.h"
#include "delivery/delivery.h"
#include "main/installation.h"

struct gateway;

struct gateway_options {
    const struct config *config;
    bool take_over; /* delivery, from the journal that the broker names (ownership.h) */
    void (*on_report)(const struct delivery_report *report); /* may be NULL */
    /* Between the account database and the services: `penstock dev` makes its demo accounts here.
     * May be NULL. */
    enum err (*prepare)(
        struct accounts *accounts, const struct installation *installation, void *context);
    void *context;
};

/* On failure everything that had started is stopped again; `complaints` says why, for people. */
enum err gateway_start(const struct gateway_options *options, struct gateway **ret_gateway,
    struct buffer *complaints) MUST_CHECK;
void gateway_stop(struct gateway *gateway, int64_t drain_us);

/* Takes over what a reload may change. */
void gateway_reload(struct gateway *gateway, const struct config *config);
/* True once a journal's file is in doubt: the process must be restarted. */
bool gateway_has_failed(const struct gateway *gateway);

const char *gateway_ingress_url(const struct gateway *gateway);
const char *gateway_admin_url(const struct gateway *gateway);
const struct installation *gateway_installation(const struct gateway *gateway);

#endif
