/* SPDX-License-Identifier: Apache-2.0 */
#include "main/gateway.h"

#include "accounts/replication.h"
#include "admin/admin.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "broker/lag.h"
#include "ingress/ingress.h"
#include "journal/audit.h"
#include "journal/journal_sqlite.h"
#include "main/broker_setup.h"
#include "main/data_files.h"
#include "main/leader.h"
#include "main/ownership.h"
#include "main/replica.h"
#include "main/roles.h"
#include "model/placement.h"
#include "queue/consumer.h"
#include "queue/recent_keys.h"
#include "runtime/descriptors.h"
#include "runtime/log.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

struct gateway {
    struct gateway_options options;
    struct installation installation;
    struct client_options client_options;
    struct delivery_policy policy;
    struct descriptor_shares shares; /* of file descriptors */
    bool delivers, uses_broker;      /* its role, and its kind of queue */
    struct broker_options broker;
    struct ownership ownership;
    struct broker_status *broker_status;
    struct broker_connector *connector;
    struct accounts *accounts;
    struct replica *replica; /* NULL: this gateway leads */
    struct byte_budget budgets[SHARDS_MAX];
    struct delivery_shard *deliveries[SHARDS_MAX];
    struct journal *journals[SHARDS_MAX];
    struct journal_reader *reader;
    struct audit_loss losses[INSTALLATION_LOSSES_MAX];
    struct admin *admin;
    struct recent_keys *recent_keys; /* of the ingress threads; NULL: no broker */
    struct broker_lag *lag;          /* NULL: nobody asks */
    struct ingress *ingresses[INGRESS_THREADS_MAX];
    unsigned ingress_threads_wanted; /* counted once: cores may come and go */
    unsigned ingress_threads;
    char ingress_url[64], admin_url[64];
    _Atomic bool failed;
};

static enum err complain(struct buffer *complaints, enum err error, const char *what)
{
    buffer_add_format(complaints, "%s: %s\n", what, err_title(error));
    return error;
}

/* What a journal and the account database say by themselves. */

static void on_journal_failed(void *context, enum err error)
{
    struct gateway *gateway = context;
    log_error("a journal can't go on: its file is in doubt. The gateway stops, to start again from "
              "what the disk holds "
              "error=%s",
        err_name(error));
    if (!atomic_exchange(&gateway->failed, true))
        kill(getpid(), SIGTERM); /* main waits for signals */
}

static void on_endpoint_changed(void *context, uint64_t endpoint, struct slice account)
{
    struct gateway *gateway = context;
    const struct installation *installation = &gateway->installation;
    if (!gateway->delivers)
        return;
    unsigned partition =
        placement_partition(&installation->seed, account, installation->partitions);
    delivery_shard_endpoint_changed(
        gateway->deliveries[placement_shard(partition, installation->shards)], endpoint);
}

static enum err check_url(const char *url, const char **ret_problem, void *context)
{
    return client_check_url(&((struct gateway *)context)->client_options, url, ret_problem);
}

/* An operator's action goes to the owner of the delivery. */
static void hand_action_over(struct journal_operator_action *action, void *context)
{
    struct gateway *gateway = context;
    delivery_shard_operator_action(
        gateway->deliveries[placement_shard(
            event_id_partition(&action->event), gateway->installation.shards)],
        action);
}

/* From the configuration to what the parts take. */

static unsigned smaller(int64_t wanted, unsigned share)
{
    return wanted < share ? (unsigned)wanted : share;
}

static void make_policy(
    const struct gateway *gateway, const struct config *config, struct delivery_policy *ret_policy)
{
    unsigned in_flight_max =
        gateway->shares.deliveries / 4 * 3; /* the rest are connections that are kept */
    *ret_policy = (struct delivery_policy){
        .schedule = config->retry_schedule,
        .retry_after_us_max = config->retry_after_us_max,
        .connect_timeout_us = config->connect_timeout_us,
        .answer_timeout_us = config->answer_timeout_us,
        .guarded_answer_timeout_us = config->guarded_answer_timeout_us,
        .in_flight_per_endpoint = (unsigned)config->in_flight_per_endpoint,
        .in_flight_per_shard = smaller(config->in_flight_per_shard, in_flight_max),
        .active_per_endpoint = (unsigned)config->active_per_endpoint,
        .paused = config->paused,
    };
}

static struct class_rules make_class_rules(const struct config *config)
{
    return (struct class_rules){.critical = config->critical_types,
        .optional = config->optional_types,
        .guarded = config->guarded_types,
        .allowed = config->allowed_types};
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
            smaller(config->in_flight_per_shard + config->in_flight_per_shard / 4 + 64,
                gateway->shares.deliveries),
    };
    for (unsigned i = 0; i < config->allow_networks.count; i++) {
        const char *text = config->allow_networks.texts[i];
        if (!network_parse(
                slice_from_string(text), &options->guard.allowed[options->guard.allowed_count])) {
            buffer_add_format(complaints,
                "delivery.allow_networks: \"%s\" is not a network such as 10.0.0.0/8 (host bits "
                "must be 0)\n",
                text);
            return ERR_CONFIG;
        }
        options->guard.allowed_count++;
    }
    return OK;
}

/* The parts, in the order of their start. */

static enum err start_accounts(struct gateway *gateway, struct buffer *complaints)
{
    char detail[256] = "";
    const struct installation *installation = &gateway->installation;
    enum err failed =
        accounts_open(installation->directory, &installation->seed, &gateway->accounts, detail);
    if (failed) {
        buffer_add_format(complaints, "%s\n", *detail ? detail : err_title(failed));
        return failed;
    }
    if (*gateway->options.config->leader_url)
        return OK;
    struct accounts_replication lead = {.base.kind = REPLICATION_LEAD};
    failed = accounts_replicate_call(gateway->accounts, &lead);
    if (failed) {
        buffer_add_format(complaints, "%s\n", *lead.detail ? lead.detail : err_title(failed));
        return failed;
    }
    if (gateway->options.prepare)
        failed =
            gateway->options.prepare(gateway->accounts, installation, gateway->options.context);
    return failed ? complain(complaints, failed, "the demo accounts") : OK;
}

static unsigned count_ingress_threads(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = config->ingress_threads ? (unsigned)config->ingress_threads
                       : cores < 1             ? 1
                                               : (unsigned)cores;
    return threads < INGRESS_THREADS_MAX ? threads : INGRESS_THREADS_MAX;
}

/* Whose delivery is comes first: nothing has been opened yet that another gateway's events could be
 * sent from. */
static enum err start_broker(struct gateway *gateway, struct buffer *complaints)
{
    if (!gateway->uses_broker)
        return OK;
    const struct installation *installation = &gateway->installation;
    broker_setup_options(gateway->options.config, installation->partitions, &gateway->broker);
    enum err failed = OK;
    if (gateway->delivers) {
        failed = ownership_load(installation->directory, &gateway->ownership, complaints);
        if (!failed)
            failed = ownership_acquire(
                &gateway->ownership, &gateway->broker, gateway->options.take_over, complaints);
        if (failed)
            return failed;
    }
    gateway->broker_status = broker_status_new();
    if (gateway->delivers && gateway->options.config->broker_lag_us_max)
        gateway->lag = broker_lag_new(installation->partitions, gateway->ingress_threads_wanted);
    failed = broker_connector_new(
        &gateway->broker, gateway->delivers ? &gateway->ownership.name : NULL, &gateway->connector);
    return failed ? complain(complaints, failed, "the broker's connector") : OK;
}

static enum err make_deliveries(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    unsigned shards = gateway->installation.shards;
    for (unsigned i = 0; i < shards; i++)
        gateway->budgets[i].bytes_max = config->bytes_in_flight_max / shards;
    for (unsigned i = 0; gateway->delivers && i < shards; i++) {
        enum err failed = delivery_shard_new(
            &(struct delivery_options){
                .shard = i,
                .policy = gateway->policy,
                .client = gateway->client_options,
                .accounts = gateway->accounts,
                .budget = &gateway->budgets[i],
                .on_report = gateway->options.on_report,
            },
            &gateway->deliveries[i]);
        if (failed)
            return complain(complaints, failed, "delivery");
    }
    accounts_listen(
        gateway->accounts, &(struct accounts_listener){
                               .on_endpoint_changed = on_endpoint_changed, .context = gateway});
    return OK;
}

/* One shard's part of the reserve. */
static int64_t reserve_of_shard(const struct gateway *gateway)
{
    int64_t all = gateway->options.config->reserve_bytes, part = all / gateway->installation.shards;
    return all > 0 && part < RESERVE_BYTES_MIN ? RESERVE_BYTES_MIN : part;
}

static enum err start_journals(struct gateway *gateway, struct buffer *complaints)
{
    int64_t reserve = reserve_of_shard(gateway);
    for (unsigned i = 0; i < gateway->installation.shards; i++) {
        char detail[256] = "";
        struct journal_sqlite_options options = {.directory = gateway->installation.directory,
            .shard = i,
            .expiry = {gateway->options.config->retention_bodies_us,
                gateway->options.config->retention_history_us},
            .reserve_bytes = reserve,
            .reserve_all_bytes = reserve * gateway->installation.shards,
            .listener = {.on_failed = on_journal_failed, .context = gateway}};
        if (gateway->delivers)
            delivery_shard_listen_to_journal(gateway->deliveries[i], &options.listener);
        enum err failed = journal_sqlite_open(&options, &gateway->journals[i], detail);
        if (failed) {
            buffer_add_format(
                complaints, "journal %u: %s\n", i, *detail ? detail : err_title(failed));
            return failed;
        }
    }
    return roles_check_found(gateway->journals, gateway->installation.shards, gateway->delivers,
        gateway->uses_broker, complaints);
}

static enum err start_deliveries(struct gateway *gateway, struct buffer *complaints)
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
        enum err failed = delivery_shard_start(
            gateway->deliveries[i], gateway->journals[i], gateway->uses_broker ? &consumer : NULL);
        if (failed)
            return complain(complaints, failed, "delivery");
    }
    return OK;
}

static enum err start_reader(struct gateway *gateway, struct buffer *complaints)
{
    const struct installation *installation = &gateway->installation;
    enum err failed =
        journal_reader_open(installation->directory, installation->shards, &gateway->reader);
    if (failed)
        return complain(complaints, failed, "the journals' reader");
    for (unsigned i = 0; i < installation->losses_count; i++) {
        const struct installation_loss *loss = &installation->losses[i];
        gateway->losses[i].day = loss->at_us / US_PER_DAY;
        snprintf(gateway->losses[i].place, sizeof gateway->losses[i].place, "%s (%s): %s",
            loss->file, loss->problem, loss->note);
    }
    journal_reader_set_losses(gateway->reader, gateway->losses, installation->losses_count);
    return OK;
}

#define FIRST_CHANGES_MS 10000

static enum err start_replica(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    if (!*config->leader_url)
        return OK;
    enum err failed = replica_new(&(struct replica_options){.leader_url = config->leader_url,
                                      .token_file = config->leader_token_file,
                                      .installation = gateway->installation.id,
                                      .accounts = gateway->accounts},
        &gateway->replica);
    return failed ? complain(complaints, failed, "the replica")
                  : replica_start(gateway->replica, FIRST_CHANGES_MS, complaints);
}

/* A listening socket on `address`; the first one (`len` 0) parses it, and with port 0 it gets the
 * port that was found. / */
static enum err listen_on(const char *option, const char *text, struct sockaddr_storage *address,
    socklen_t *len, int *ret_fd, struct buffer *complaints)
{
    const char *problem = NULL;
    enum err failed = OK;
    if (*len == 0) {
        if (!http_parse_address(text, address, len, &problem)) {
            buffer_add_format(complaints, "%s: \"%s\" %s\n", option, text, problem);
            return ERR_CONFIG;
        }
        failed = http_reserve(address, *len);
    }
    if (!failed)
        failed = http_listen(address, *len, ret_fd);
    if (failed)
        buffer_add_format(complaints,
            "%s: can't listen on %s: %s. Free it, or choose another one.\n", option, text,
            err_title(failed));
    return failed;
}

static struct admin_installation publish_installation(const struct installation *installation)
{
    struct admin_installation published = {
        .seed = installation->seed, .partitions = installation->partitions};
    memcpy(published.id, installation->id, sizeof published.id);
    memcpy(published.receipt_key, installation->receipt_key, sizeof published.receipt_key);
    return published;
}

static enum err start_admin(struct gateway *gateway, struct buffer *complaints)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    int fd = -1;
    enum err failed = listen_on(
        "admin.listen", gateway->options.config->admin_listen, &address, &len, &fd, complaints);
    if (failed)
        return failed;
    http_base_url(&address, gateway->admin_url);
    failed = admin_new(
        &(struct admin_options){
            .listen_fd = fd,
            .token = slice_from_string(gateway->installation.admin_token),
            .accounts = gateway->accounts,
            .reader = gateway->reader,
            .shards = gateway->installation.shards,
            .journals = gateway->journals,
            .connections_max = gateway->shares.operators,
            .check_url = check_url,
            .action = hand_action_over,
            .context = gateway,
            .installation = publish_installation(&gateway->installation),
            .ingress_only = !gateway->delivers,
            .leader_url = gateway->options.config->leader_url,
            .queue = gateway->uses_broker ? "rabbitmq" : "direct",
            .broker = gateway->broker_status,
        },
        &gateway->admin);
    if (!failed)
        failed = admin_start(gateway->admin);
    return failed ? complain(complaints, failed, "the admin listener") : OK;
}

static enum err make_ingress(struct gateway *gateway, unsigned number, unsigned threads, int fd)
{
    const struct config *config = gateway->options.config;
    const struct installation *installation = &gateway->installation;
    struct class_rules class_rules = make_class_rules(config);
    return ingress_new(
        &(struct ingress_options){
            .number = number,
            .listen_fd = fd,
            .connections_max = smaller(config->ingress_connections_max, gateway->shares.partners),
            .directory = accounts_directory(gateway->accounts),
            .journals = gateway->journals,
            .budgets = gateway->budgets,
            .reader = gateway->reader,
            .seed = installation->seed,
            .partitions = installation->partitions,
            .shards = installation->shards,
            .receipt_key = slice_of(installation->receipt_key, RECEIPT_KEY_BYTES),
            .class_rules = &class_rules,
            .connector = gateway->connector,
            .broker = &gateway->broker,
            .broker_status = gateway->broker_status,
            .recent_keys = gateway->recent_keys,
            .publish_window = (unsigned)config->broker_window,
            .confirm_timeout_us = config->broker_confirm_timeout_us,
            .lag = gateway->lag,
            .lag_us_max = config->broker_lag_us_max,
            .outbox = !gateway->delivers,
            .intake_partner = config->intake_partner,
            .ingresses = gateway->ingresses,
            .threads = threads,
        },
        &gateway->ingresses[number]);
}

static void share_descriptors(struct gateway *gateway, const struct config *config)
{
    uint64_t limit = descriptors_limit();
    gateway->shares =
        descriptors_share(limit, gateway->installation.shards, gateway->ingress_threads_wanted);
    const struct descriptor_shares *shares = &gateway->shares;
    if (config->ingress_connections_max > shares->partners ||
        config->in_flight_per_shard > shares->deliveries / 4 * 3)
        log_warn("%llu open files are too few for ingress.connections_max and "
                 "delivery.in_flight_per_shard: they count "
                 "as %u and %u. Raise the hard limit, or lower them",
            (unsigned long long)limit, smaller(config->ingress_connections_max, shares->partners),
            smaller(config->in_flight_per_shard, shares->deliveries / 4 * 3));
}

static enum err start_ingress(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    unsigned threads = gateway->ingress_threads_wanted;
    enum err failed = gateway->uses_broker
                          ? recent_keys_new(threads * RECENT_KEYS_PER_THREAD, &gateway->recent_keys)
                          : OK;
    if (failed)
        return complain(complaints, failed, "ingress");
    struct sockaddr_storage address;
    socklen_t len = 0;
    for (unsigned i = 0; i < threads; i++) {
        int fd = -1;
        failed =
            listen_on("ingress.listen", config->ingress_listen, &address, &len, &fd, complaints);
        if (failed)
            return failed;
        failed = make_ingress(gateway, i, threads, fd);
        if (failed)
            return complain(complaints, failed, "ingress");
        gateway->ingress_threads++;
    }
    http_base_url(&address, gateway->ingress_url);
    /* All listeners are bound before the first one accepts: no connection goes to a socket that is
     * given up again. */
    for (unsigned i = 0; i < threads; i++) {
        failed = ingress_start(gateway->ingresses[i]);
        if (failed)
            return complain(complaints, failed, "ingress");
    }
    return OK;
}

/* For the command line tools: where the admin listener is. */
static enum err publish_address(struct gateway *gateway, struct buffer *complaints)
{
    char text[128];
    int len = snprintf(
        text, sizeof text, "{\"admin\":\"%s\",\"pid\":%d}\n", gateway->admin_url, (int)getpid());
    enum err failed = installation_write(
        gateway->installation.directory, "admin.json", slice_of(text, (size_t)len));
    return failed ? complain(complaints, failed, "admin.json") : OK;
}

static enum err open_installation(
    const struct config *config, struct installation *ret_installation, struct buffer *complaints)
{
    if (!*config->leader_url)
        return installation_open(config->data_directory, (unsigned)config->partitions,
            (unsigned)config->shards, config->admin_token_file, ret_installation, complaints);
    const struct leader leader = leader_from_config(config);
    return installation_follow(
        config->data_directory, &leader, config->admin_token_file, ret_installation, complaints);
}

enum err gateway_start(
    const struct gateway_options *options, struct gateway **ret_gateway, struct buffer *complaints)
{
    static enum err (*const parts[])(struct gateway * gateway, struct buffer * complaints) = {
        make_client_options, start_accounts, start_broker, make_deliveries, start_journals,
        start_deliveries, start_reader, start_admin, start_replica, start_ingress, publish_address};
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (!gateway)
        return complain(complaints, ERR_NO_MEMORY, "penstock");
    gateway->options = *options;
    gateway->delivers = options->config->roles.delivery;
    gateway->uses_broker = options->config->queue_kind == CONFIG_QUEUE_RABBITMQ;
    const struct config *config = options->config;
    gateway->ingress_threads_wanted = count_ingress_threads(config);
    enum err failed = open_installation(config, &gateway->installation, complaints);
    if (failed) {
        free(gateway);
        return failed;
    }
    share_descriptors(gateway, config);
    make_policy(gateway, config, &gateway->policy);
    for (size_t i = 0; i < ARRAY_LENGTH(parts) && !failed; i++)
        failed = parts[i](gateway, complaints);
    if (failed) {
        gateway_stop(gateway, 0);
        return failed;
    }
    admin_set_ready(gateway->admin, true);
    *ret_gateway = gateway;
    return OK;
}

void gateway_stop(struct gateway *gateway, int64_t drain_us)
{
    unsigned shards = gateway->installation.shards;
    if (gateway->admin)
        admin_set_ready(gateway->admin, false);
    /* No new events; what is being answered is answered. */
    for (unsigned i = 0; i < gateway->ingress_threads; i++)
        ingress_stop(gateway->ingresses[i], drain_us);
    for (unsigned i = 0; i < gateway->ingress_threads; i++)
        ingress_join(gateway->ingresses[i]);
    /* No new sends; what is in flight ends and is recorded. */
    for (unsigned i = 0; i < shards; i++)
        if (gateway->journals[i] && gateway->deliveries[i])
            delivery_shard_stop(gateway->deliveries[i], drain_us);
    for (unsigned i = 0; i < shards; i++)
        if (gateway->deliveries[i])
            delivery_shard_join(gateway->deliveries[i]);
    if (gateway->admin) {
        admin_stop(gateway->admin);
        admin_join(gateway->admin);
    }
    replica_stop(gateway->replica);
    broker_connector_stop(
        gateway->connector); /* what it still had to hand over lies in the mailboxes as well */
    installation_leave(&gateway->installation);
    /* From here on nobody asks any more: the owners of the files finish, and what they still say
     * lies in the mailboxes. / */
    for (unsigned i = 0; i < shards; i++)
        journal_stop(gateway->journals[i]);
    journal_reader_stop(gateway->reader);
    accounts_stop(gateway->accounts);
    for (unsigned i = 0; i < INGRESS_THREADS_MAX; i++)
        ingress_free(gateway->ingresses[i]);
    recent_keys_free(gateway->recent_keys);
    for (unsigned i = 0; i < shards; i++)
        delivery_shard_free(gateway->deliveries[i]);
    broker_lag_free(gateway->lag);
    admin_free(gateway->admin);
    replica_free(gateway->replica);
    broker_status_free(gateway->broker_status);
    if (!gateway_has_failed(gateway)) /* else what is on the disk is in doubt, and is left alone */
        data_files_stamp_stop(&gateway->installation);
    installation_close(&gateway->installation);
    free(gateway);
}

void gateway_reload(struct gateway *gateway, const struct config *config)
{
    log_set_level((enum log_level)config->log_level);
    make_policy(gateway, config, &gateway->policy);
    for (unsigned i = 0; gateway->delivers && i < gateway->installation.shards; i++)
        delivery_shard_set_policy(gateway->deliveries[i], &gateway->policy);
    struct class_rules class_rules = make_class_rules(config);
    for (unsigned i = 0; i < gateway->ingress_threads; i++)
        ingress_set_rules(gateway->ingresses[i], &class_rules);
}

bool gateway_has_failed(const struct gateway *gateway)
{
    return atomic_load(&gateway->failed);
}

const char *gateway_ingress_url(const struct gateway *gateway)
{
    return gateway->ingress_url;
}

const char *gateway_admin_url(const struct gateway *gateway)
{
    return gateway->admin_url;
}

const struct installation *gateway_installation(const struct gateway *gateway)
{
    return &gateway->installation;
}
