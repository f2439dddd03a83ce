/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway as an ordered list of parts (the table in gateway.c):
 *
 *   installation, accounts, broker, delivery (made), journals, in use, reader, tls, admin,
 *   delivery, replica, ingress, address, ready
 *
 * Start walks the list forwards. Stop walks it backwards twice:
 *
 *   stop   ends the threads of each part. A part that has stopped sends no more requests, so the
 *          parts that it sends them to (those before it) are stopped later. Late answers find its
 *          mailbox, since it is not freed yet.
 *   free   frees the parts, with the late answers in their mailboxes.
 *
 * A failed start stops and frees the parts that have started, and the one that failed, in the same
 * way. What the order holds:
 *
 *   - admin starts before the first event is delivered and stops after the last outcome is
 *     recorded, so that operators can watch both
 *   - operator events stop after the parts that post them, but before the journals
 *   - the directory is marked as in use while its databases are open
 *   - the journals stop later than the parts that submit to them, and accounts later than the parts
 *     that read the directory
 *
 * Broker, replica and parts of delivery do nothing in a gateway whose queue.kind and roles do not
 * need them.
 */
#ifndef PENSTOCK_MAIN_GATEWAY_H
#define PENSTOCK_MAIN_GATEWAY_H

#include "accounts/accounts.h"
#include "config/config.h"
#include "delivery/delivery.h"
#include "main/data_directory.h"

struct gateway;
struct rejection;

/* Why admin.listen is refused; for printf, with the address. */
#define GATEWAY_ADMIN_CLEARTEXT                                                              \
    "\"%s\" is not a loopback address, and the admin token travels in cleartext: listen on " \
    "127.0.0.1 and set admin.tls_listen for others, or set admin.allow_cleartext to true"

struct gateway_options {
    const struct config *config;
    /* Why the switch `deliveries` is to be off before anything is sent; NULL: it stays as it is. */
    const char *deliveries_off;
    bool take_over; /* take delivery over from another journal (cluster/ownership.h) */
    bool is_demo;   /* dev: its default limits on connections need not fit the open files */
    void (*on_report)(const struct delivery_report *report); /* may be NULL */
    /* A post of a partner is rejected; a flood is sampled (http/rejections.h). May be NULL. */
    void (*on_rejection)(const char *partner, const struct rejection *rejection);
    /* Called when the account database is open and nothing else has started: `penstock dev` makes
     * its demo accounts here. May be NULL. */
    enum err (*prepare)(
        struct accounts *accounts, const struct installation *installation, void *context);
    void *context;
};

/* On failure nothing is left running, and `complaints` has the reasons, a line each. */
enum err gateway_start(const struct gateway_options *options, struct gateway **ret_gateway,
    struct buffer *complaints) MUST_CHECK;
/* Finishes what is in flight, for up to `drain_us` each in ingress and delivery. */
void gateway_stop(struct gateway *gateway, int64_t drain_us);

/* Applies the options that a reload may change. */
void gateway_reload(struct gateway *gateway, const struct config *config);
/* Looks at files that others change, such as certificates. Call it every few seconds on the thread
 * that reloads. */
void gateway_look(struct gateway *gateway);
/* True when the file of a journal is in doubt: the process must be restarted. */
bool gateway_has_failed(const struct gateway *gateway);

/* Reads certificates and keys as a start would. ERR_CONFIG, with a line for each problem in
 * `complaints`. `warnings` has a line for each matter that does not prevent a start. */
enum err gateway_check_tls(
    const struct config *config, struct buffer *complaints, struct buffer *warnings) MUST_CHECK;

/* The URL of the listener without TLS; of the one with TLS if there is no other. */
const char *gateway_ingress_url(const struct gateway *gateway);
const char *gateway_admin_url(const struct gateway *gateway);
/* Of the listeners with TLS. Empty: none. */
const char *gateway_ingress_tls_url(const struct gateway *gateway);
const char *gateway_admin_tls_url(const struct gateway *gateway);
const struct installation *gateway_installation(const struct gateway *gateway);

#endif
