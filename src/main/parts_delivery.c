/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the gateway: the broker, and delivery. */
#include "base/clock.h"
#include "main/gateway_internal.h"
#include "model/placement.h"
#include "queue/consumer.h"
#include "runtime/log.h"
#include "runtime/rcu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_AMQP 5672
#define PORT_AMQPS 5671

_Static_assert(CONFIG_ADDRESSES_MAX <= BROKER_ADDRESSES_MAX, "every address has a place");

/* The broker. */

/* host, host:port, [IPv6] or [IPv6]:port, as config/ has checked. getaddrinfo takes the host
 * without its brackets. */
static struct broker_address parse_address(const char *text, uint16_t port)
{
    struct broker_address address = {.port = port};
    bool bracketed = *text == '[';
    const char *host = text + bracketed;
    size_t host_len = strcspn(host, bracketed ? "]" : ":");
    const char *colon = strchr(host + host_len, ':');
    snprintf(address.host, sizeof address.host, "%.*s", (int)host_len, host);
    if (colon)
        address.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return address;
}

static void copy_text(char *ret_text, size_t size, const char *text)
{
    snprintf(ret_text, size, "%s", text);
}

static void make_broker_options(struct gateway *gateway)
{
    const struct config *config = gateway->options.config;
    struct broker_options *options = &gateway->broker;
    *options = (struct broker_options){
        .addresses_count = config->broker_addresses.count,
        .tls = config->broker_tls,
        .heartbeat_s =
            (unsigned)((config->broker_heartbeat_us + US_PER_SECOND - 1) / US_PER_SECOND),
        .partitions = gateway->installation.partitions,
        .taps = config->broker_taps,
        .intake = *config->intake_partner != '\0',
    };
    for (unsigned i = 0; i < options->addresses_count; i++)
        options->addresses[i] = parse_address(
            config->broker_addresses.texts[i], config->broker_tls ? PORT_AMQPS : PORT_AMQP);
    copy_text(options->vhost, sizeof options->vhost, config->broker_vhost);
    copy_text(options->credentials_file, sizeof options->credentials_file,
        config->broker_credentials_file);
    copy_text(options->ca_file, sizeof options->ca_file, config->broker_ca_file);
    copy_text(options->certificate_file, sizeof options->certificate_file,
        config->broker_certificate_file);
    copy_text(options->key_file, sizeof options->key_file, config->broker_key_file);
}

enum err start_broker(struct gateway *gateway, struct buffer *complaints)
{
    const struct installation *installation = &gateway->installation;
    enum err err = OK;
    if (!gateway->uses_broker)
        return OK;
    make_broker_options(gateway);
    if (gateway->delivers) {
        err = ownership_load(installation->directory, &gateway->ownership, complaints);
        if (!err)
            err = ownership_acquire(
                &gateway->ownership, &gateway->broker, gateway->options.take_over, complaints);
        if (err)
            return err;
    }
    gateway->broker_status = broker_status_new();
    if (gateway->delivers && gateway->options.config->broker_lag_us_max)
        gateway->lag = broker_lag_new(installation->partitions, gateway->ingress_threads_wanted);
    err = broker_connector_new(
        &gateway->broker, gateway->delivers ? &gateway->ownership.name : NULL, &gateway->connector);
    return err ? gateway_complain(complaints, err, "the connector of the broker cannot start") : OK;
}

void stop_broker(struct gateway *gateway)
{
    broker_connector_stop(gateway->connector);
}

void free_broker(struct gateway *gateway)
{
    broker_lag_free(gateway->lag);
    broker_status_free(gateway->broker_status);
}

/* Delivery. */

static void on_endpoint_changed(
    void *context, uint64_t endpoint, struct slice account, int64_t version)
{
    struct gateway *gateway = context;
    const struct installation *installation = &gateway->installation;
    if (!gateway->delivers)
        return;
    unsigned partition =
        placement_partition(&installation->seed, account, installation->partitions);
    delivery_shard_endpoint_changed(
        gateway->deliveries[placement_shard(partition, installation->shards)], endpoint, version);
}

static void log_switch(const struct switch_change *change, const char *what)
{
    char endpoint[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(change->endpoint, endpoint);
    log_warn("%s switch=%s state=%s account=%s endpoint=%s by=\"%s\" reason=\"%s\"", what,
        switch_name(change->kind), change->is_off ? "off" : "on",
        change->account[0] ? change->account : "all", change->endpoint ? endpoint : "all",
        change->actor[0] ? change->actor : "the leader", change->reason);
}

/* On a follower the leader reports it. */
static void report_switch(const struct gateway *gateway, const struct switch_change *change)
{
    struct operator_event event = {
        .kind = OPERATOR_SWITCH_CHANGED, .at_us = change->at_us, .is_logged = true};
    char detail[ACTION_NOTE_BYTES_MAX + SWITCH_ACTOR_BYTES + 8];
    if (!change->actor[0])
        return;
    snprintf(event.account, sizeof event.account, "%s", change->account);
    if (change->endpoint)
        endpoint_id_format(change->endpoint, event.endpoint);
    snprintf(event.subject, sizeof event.subject, "%s", switch_name(change->kind));
    snprintf(event.cause, sizeof event.cause, "%s", change->is_off ? "off" : "on");
    snprintf(detail, sizeof detail, "%s (%s)", change->reason, change->actor);
    operator_event_set_detail(&event, detail);
    operator_event_post(&gateway->operator_sink, &event);
}

/* On the accounts thread. */
static void on_switch_changed(void *context, const struct switch_change *change)
{
    struct gateway *gateway = context;
    log_switch(change, "a switch was changed");
    report_switch(gateway, change);
    for (unsigned i = 0; gateway->delivers && i < gateway->installation.shards; i++)
        delivery_shard_switch_changed(gateway->deliveries[i]);
}

static void log_switch_off(const struct operator_switch *off, void *context)
{
    char endpoint[ENDPOINT_ID_TEXT_BYTES], since[CLOCK_TEXT_BYTES];
    (void)context;
    endpoint_id_format(off->endpoint, endpoint);
    clock_format_rfc3339(off->since_us, since);
    log_warn("a switch is off switch=%s account=%s endpoint=%s since=%s reason=\"%s\"",
        switch_name(off->kind), off->account[0] ? off->account : "all",
        off->endpoint ? endpoint : "all", since, off->reason);
}

static void make_policy(struct gateway *gateway, const struct config *config)
{
    /* The others are idle connections. */
    unsigned in_flight_max = gateway->shares.deliveries / 4 * 3;
    gateway->policy = (struct delivery_policy){
        .rules = {.schedule = config->retry_schedule,
            .retry_after_us_max = config->retry_after_us_max,
            .connect_timeout_us = config->connect_timeout_us,
            .answer_timeout_us = config->answer_timeout_us,
            .guarded_answer_timeout_us = config->guarded_answer_timeout_us,
            .in_flight_max = (unsigned)config->in_flight_per_endpoint},
        .in_flight_per_shard = gateway_smaller(config->in_flight_per_shard, in_flight_max),
        .active_per_endpoint = (unsigned)config->active_per_endpoint,
        .freshness_us_max = config->freshness_us_max,
    };
}

static enum err make_client_options(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    struct client_options *options = &gateway->client_options;
    *options = (struct client_options){
        .allow_http = config->allow_http,
        .ca_file = config->ca_file,
        /* With fewer than are in flight libcurl would close a connection for each new request. */
        .connections_max =
            gateway_smaller(config->in_flight_per_shard + config->in_flight_per_shard / 4 + 64,
                gateway->shares.deliveries),
    };
    for (unsigned i = 0; i < config->allow_networks.count; i++) {
        const char *text = config->allow_networks.texts[i];
        struct network *network = &options->guard.allowed[options->guard.allowed_count];
        if (!network_parse(slice_from_string(text), network)) {
            buffer_add_format(complaints,
                "delivery.allow_networks: \"%s\" is not a network: write it like 10.0.0.0/8, with "
                "host bits of 0\n",
                text);
            return ERR_CONFIG;
        }
        options->guard.allowed_count++;
    }
    return OK;
}

enum err make_delivery(struct gateway *gateway, struct buffer *complaints)
{
    unsigned shards = gateway->installation.shards;
    enum err err = make_client_options(gateway, complaints);
    if (err)
        return err;
    make_policy(gateway, gateway->options.config);
    for (unsigned i = 0; i < shards; i++)
        gateway->budgets[i].bytes_max = gateway->options.config->bytes_in_flight_max / shards;
    for (unsigned i = 0; gateway->delivers && i < shards; i++) {
        err = delivery_shard_new(
            &(struct delivery_options){
                .shard = i,
                .policy = gateway->policy,
                .client = gateway->client_options,
                .accounts = gateway->accounts,
                .budget = &gateway->budgets[i],
                .on_report = gateway->options.on_report,
                .operator_events = gateway->operator_sink,
            },
            &gateway->deliveries[i]);
        if (err)
            return gateway_complain(complaints, err, "delivery cannot start");
    }
    accounts_listen(
        gateway->accounts, &(struct accounts_listener){.on_endpoint_changed = on_endpoint_changed,
                               .on_switch_changed = on_switch_changed,
                               .context = gateway});
    rcu_go_online();
    directory_each_switch(accounts_directory(gateway->accounts), log_switch_off, NULL);
    rcu_go_offline();
    return OK;
}

void free_delivery(struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->installation.shards; i++)
        delivery_shard_free(gateway->deliveries[i]);
}

enum err start_delivery(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    const struct installation *installation = &gateway->installation;
    const struct consumer_options consumer = {
        .connector = gateway->connector,
        .status = gateway->broker_status,
        .lag = gateway->lag,
        .journals = gateway->journals,
        .seed = installation->seed,
        .partitions = installation->partitions,
        .shards = installation->shards,
        .prefetch = (unsigned)config->broker_prefetch,
        .prefetch_bytes = config->broker_prefetch_bytes,
        .taps = config->broker_taps,
        .checks = true,
        .forced_since_us =
            gateway->uses_broker ? ownership_forced_since_us(&gateway->ownership) : 0,
    };
    for (unsigned i = 0; gateway->delivers && i < installation->shards; i++) {
        enum err err = delivery_shard_start(
            gateway->deliveries[i], gateway->journals[i], gateway->uses_broker ? &consumer : NULL);
        if (err)
            return gateway_complain(complaints, err, "delivery cannot start");
    }
    return OK;
}

/* No new attempts; those in flight end and are recorded. */
void stop_delivery(struct gateway *gateway)
{
    for (unsigned i = 0; gateway->delivers && i < gateway->installation.shards; i++)
        delivery_shard_stop(gateway->deliveries[i], gateway->drain_us);
    for (unsigned i = 0; gateway->delivers && i < gateway->installation.shards; i++)
        delivery_shard_await_drained(gateway->deliveries[i]);
}

/* After the admin thread: it asks the shards. */
void join_delivery(struct gateway *gateway)
{
    for (unsigned i = 0; gateway->delivers && i < gateway->installation.shards; i++)
        delivery_shard_join(gateway->deliveries[i]);
}

void reload_delivery(struct gateway *gateway, const struct config *config)
{
    make_policy(gateway, config);
    for (unsigned i = 0; gateway->delivers && i < gateway->installation.shards; i++)
        delivery_shard_set_policy(gateway->deliveries[i], &gateway->policy);
}
