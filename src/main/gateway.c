/* SPDX-License-Identifier: Apache-2.0 */
#include "main/gateway.h"

#include "base/cleanup.h"
#include "base/memory.h"
#include "main/gateway_internal.h"
#include "runtime/log.h"

#include <stdlib.h>

static const struct gateway_part parts[] = {
    {"installation", start_installation, NULL, free_installation},
    {"accounts", start_accounts, stop_accounts},
    /* Before anything is opened whose events another gateway may deliver. */
    {"broker", start_broker, stop_broker, free_broker},
    {"operator events (made)", make_operator_events, NULL, free_operator_events},
    {"tls", start_tls, NULL, free_tls, reload_tls},
    /* After delivery: the shards answer its questions, and those that are left when they are freed
     * as well. */
    {"admin (freed)", NULL, NULL, free_admin},
    /* The journals hand events over to its mailbox. */
    {"delivery (made)", make_delivery, NULL, free_delivery},
    {"journals", start_journals, stop_journals},
    {"in use", NULL, stop_use},
    {"operator events", start_operator_events, stop_operator_events, NULL, reload_operator_events},
    {"reader", start_reader, stop_reader},
    {"delivery (joined)", NULL, join_delivery},
    {"admin", start_admin, stop_admin, NULL, reload_admin},
    {"delivery", start_delivery, stop_delivery, NULL, reload_delivery},
    {"replica", start_replica, stop_replica, free_replica},
    {"ingress", start_ingress, stop_ingress, free_ingress, reload_ingress},
    {"address", publish_address},
    {"ready", start_ready, stop_ready},
};

static unsigned count_ingress_threads(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = config->ingress_threads ? (unsigned)config->ingress_threads
                       : cores < 1             ? 1
                                               : (unsigned)cores;
    return threads < INGRESS_THREADS_MAX ? threads : INGRESS_THREADS_MAX;
}

/* Stops and frees the first `count` parts, then the gateway. */
static void stop_parts(struct gateway *gateway, size_t count)
{
    for (size_t i = count; i-- > 0;)
        if (parts[i].stop)
            parts[i].stop(gateway);
    for (size_t i = count; i-- > 0;)
        if (parts[i].free)
            parts[i].free(gateway);
    free(gateway);
}

enum err gateway_start(
    const struct gateway_options *options, struct gateway **ret_gateway, struct buffer *complaints)
{
    const struct config *config = options->config;
    struct gateway *gateway;
    MEMORY_NEW(gateway);
    gateway->options = *options;
    gateway->delivers = config->roles.delivery;
    gateway->uses_broker = config->queue_kind == CONFIG_QUEUE_RABBITMQ;
    gateway->ingress_threads_wanted = count_ingress_threads(config);
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        enum err err = parts[i].start ? parts[i].start(gateway, complaints) : OK;
        if (err) {
            stop_parts(gateway, i + 1);
            return err;
        }
    }
    *ret_gateway = gateway;
    return OK;
}

void gateway_stop(struct gateway *gateway, int64_t drain_us)
{
    gateway->drain_us = drain_us;
    stop_parts(gateway, ARRAY_LENGTH(parts));
}

void gateway_reload(struct gateway *gateway, const struct config *config)
{
    log_set_level((enum log_level)config->log_level);
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
        if (parts[i].reload)
            parts[i].reload(gateway, config);
}

void gateway_look(struct gateway *gateway)
{
    look_at_tls(gateway);
}

bool gateway_has_failed(const struct gateway *gateway)
{
    return atomic_load(&gateway->failed);
}

const char *gateway_ingress_url(const struct gateway *gateway)
{
    return *gateway->ingress_url ? gateway->ingress_url : gateway->ingress_tls_url;
}

const char *gateway_admin_url(const struct gateway *gateway)
{
    return gateway->admin_url;
}

const char *gateway_ingress_tls_url(const struct gateway *gateway)
{
    return gateway->ingress_tls_url;
}

const char *gateway_admin_tls_url(const struct gateway *gateway)
{
    return gateway->admin_tls_url;
}

const struct installation *gateway_installation(const struct gateway *gateway)
{
    return &gateway->installation;
}
