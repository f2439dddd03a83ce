/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the gateway: the listener of operators, the replica, and the listener of partners. */
#include "base/cleanup.h"
#include "delivery/endpoint_test.h"
#include "delivery/queue_look.h"
#include "main/gateway_internal.h"
#include "model/placement.h"
#include "runtime/log.h"
#include "runtime/small_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIRST_CHANGES_MS 10000

/* An option with an address, and the address once it is parsed. */
struct listening {
    const char *option, *text; /* text: empty for none */
    struct sockaddr_storage address;
    socklen_t len; /* 0: not parsed yet */
};

/* A listening socket; -1 without an address. For port 0 the first socket gets the port that was
 * found, and later ones the same. */
static enum err listen_on(struct listening *listening, int *ret_fd, struct buffer *complaints)
{
    const char *problem = NULL;
    enum err err = OK;
    *ret_fd = -1;
    if (!*listening->text)
        return OK;
    if (listening->len == 0) {
        if (!http_parse_address(listening->text, &listening->address, &listening->len, &problem)) {
            buffer_add_format(
                complaints, "%s: \"%s\" %s\n", listening->option, listening->text, problem);
            return ERR_CONFIG;
        }
        err = http_reserve(&listening->address, listening->len);
    }
    if (!err)
        err = http_listen(&listening->address, listening->len, ret_fd);
    if (err)
        buffer_add_format(complaints,
            "%s: cannot listen on %s: %s. Stop the program that uses the address, or choose "
            "another address\n",
            listening->option, listening->text, err_title(err));
    return err;
}

static void write_url(const struct listening *listening, bool is_tls, char *ret_url)
{
    if (listening->len > 0)
        http_base_url(&listening->address, is_tls, ret_url);
}

/* The listener of operators. */

static enum err check_url(const char *url, const char **ret_problem, void *context)
{
    return client_check_url(&((struct gateway *)context)->client_options, url, ret_problem);
}

/* The owner of the delivery runs the operator's action. */
static void hand_action_over(struct journal_operator_action *action, void *context)
{
    struct gateway *gateway = context;
    delivery_shard_operator_action(
        gateway->deliveries[placement_shard(
            event_id_partition(&action->event), gateway->installation.shards)],
        action);
}

/* And the owners of the deliveries run replays. */
static void hand_replay_over(unsigned shard, struct journal_replay_create *create, void *context)
{
    delivery_shard_create_replay(((struct gateway *)context)->deliveries[shard], create);
}

static void hand_replay_change_over(
    unsigned shard, struct journal_replay_change *change, void *context)
{
    delivery_shard_change_replay(((struct gateway *)context)->deliveries[shard], change);
}

static void hand_replay_list_over(unsigned shard, struct journal_replay_list *list, void *context)
{
    delivery_shard_list_replays(((struct gateway *)context)->deliveries[shard], list);
}

/* So does the owner of the account with the test of an endpoint. */
static void hand_test_over(struct endpoint_test *test, struct slice account, void *context)
{
    struct gateway *gateway = context;
    const struct installation *installation = &gateway->installation;
    unsigned partition =
        placement_partition(&installation->seed, account, installation->partitions);
    delivery_shard_test_endpoint(
        gateway->deliveries[placement_shard(partition, installation->shards)], test);
}

static void hand_look_over(struct queue_look *look, unsigned shard, void *context)
{
    delivery_shard_look(((struct gateway *)context)->deliveries[shard], look);
}

static struct admin_installation publish_installation(const struct installation *installation)
{
    struct admin_installation published = {
        .seed = installation->seed, .partitions = installation->partitions};
    memcpy(published.id, installation->id, sizeof published.id);
    memcpy(published.receipt_key, installation->receipt_key, sizeof published.receipt_key);
    return published;
}

/* `dev` gets the address from an argument, so that process_load has not seen it. */
static enum err check_cleartext(
    const struct config *config, const struct listening *listening, struct buffer *complaints)
{
    if (config->admin_allow_cleartext || http_is_loopback(&listening->address))
        return OK;
    buffer_add_string(complaints, "admin.listen: ");
    buffer_add_format(complaints, GATEWAY_ADMIN_CLEARTEXT "\n", listening->text);
    return ERR_CONFIG;
}

static unsigned list_operator_events(
    struct operator_event ret_events[OPERATOR_EVENTS_LISTED_MAX], void *context)
{
    return operator_events_list(((struct gateway *)context)->operator_events, ret_events);
}

static enum err make_admin(struct gateway *gateway, int fd, int tls_fd)
{
    const struct config *config = gateway->options.config;
    gateway->rejections =
        rejections_new(&gateway->installation.seed, gateway->options.on_rejection);
    struct admin_options options = {
        .listen_fd = fd,
        .tls_listen_fd = tls_fd,
        .tls = gateway->admin_tls,
        .token = slice_from_string(gateway->installation.admin_token),
        .readonly_token = slice_from_string(gateway->installation.readonly_token),
        .accounts = gateway->accounts,
        .reader = gateway->reader,
        .shards = gateway->installation.shards,
        .journals = gateway->journals,
        .connections_max = gateway->shares.operators,
        .check_url = check_url,
        .action = hand_action_over,
        .create_replay = hand_replay_over,
        .change_replay = hand_replay_change_over,
        .list_replays = hand_replay_list_over,
        .test_endpoint = hand_test_over,
        .look_at_queues = gateway->delivers ? hand_look_over : NULL,
        .context = gateway,
        .installation = publish_installation(&gateway->installation),
        .ingress_only = !gateway->delivers,
        .leader_url = config->leader_url,
        .queue = gateway->uses_broker ? "rabbitmq" : "direct",
        .broker = gateway->broker_status,
        .rejections = gateway->rejections,
        .operator_events = gateway->operator_sink,
        .list_operator_events = list_operator_events,
    };
    _Static_assert(ADMIN_HOSTS_MAX >= CONFIG_ADDRESSES_MAX, "each name has a place");
    for (; options.hosts_count < config->admin_hosts.count; options.hosts_count++)
        options.hosts[options.hosts_count] = config->admin_hosts.texts[options.hosts_count];
    return admin_new(&options, &gateway->admin);
}

enum err start_admin(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    struct listening cleartext = {.option = "admin.listen", .text = config->admin_listen};
    struct listening tls = {.option = "admin.tls_listen", .text = config->admin_tls_listen};
    AUTO_CLOSE int fd = -1, tls_fd = -1;
    enum err err = listen_on(&cleartext, &fd, complaints);
    if (!err)
        err = check_cleartext(config, &cleartext, complaints);
    if (!err)
        err = listen_on(&tls, &tls_fd, complaints);
    if (err)
        return err;
    write_url(&cleartext, false, gateway->admin_url);
    write_url(&tls, true, gateway->admin_tls_url);
    err = make_admin(gateway, TAKE_FD(fd), TAKE_FD(tls_fd));
    if (!err)
        err = admin_start(gateway->admin);
    return err ? gateway_complain(complaints, err, "admin.listen: the listener cannot start") : OK;
}

/* A token that cannot be read leaves the old ones. */
void reload_admin(struct gateway *gateway, const struct config *config)
{
    struct installation *installation = &gateway->installation;
    struct buffer complaints = BUFFER_EMPTY;
    const struct data_token_files tokens = {
        config->admin_token_file, config->admin_readonly_token_file};
    if (data_directory_load_tokens(installation, &tokens, &complaints))
        log_error("the admin tokens are not reloaded, and the old ones remain: %.*s",
            (int)strcspn(complaints.data ? complaints.data : "", "\n"),
            complaints.data ? complaints.data : "");
    else
        admin_set_tokens(gateway->admin, slice_from_string(installation->admin_token),
            slice_from_string(installation->readonly_token));
    buffer_done(&complaints);
}

void stop_admin(struct gateway *gateway)
{
    if (!gateway->admin)
        return;
    admin_stop(gateway->admin);
    admin_join(gateway->admin);
}

void free_admin(struct gateway *gateway)
{
    admin_free(gateway->admin);
    rejections_free(gateway->rejections); /* the ingress threads have ended */
}

/* The replica. */

enum err start_replica(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    if (!*config->leader_url)
        return OK;
    enum err err = replica_new(&(struct replica_options){.leader_url = config->leader_url,
                                   .token_file = config->leader_token_file,
                                   .ca_file = config->leader_ca_file,
                                   .installation = gateway->installation.id,
                                   .accounts = gateway->accounts},
        &gateway->replica);
    return err ? gateway_complain(complaints, err, "the replica of the accounts cannot start")
               : replica_start(gateway->replica, FIRST_CHANGES_MS, complaints);
}

void stop_replica(struct gateway *gateway)
{
    replica_stop(gateway->replica);
}

void free_replica(struct gateway *gateway)
{
    replica_free(gateway->replica);
}

/* The listener of partners. */

static struct class_rules make_class_rules(const struct config *config)
{
    return (struct class_rules){.critical = config->critical_types,
        .optional = config->optional_types,
        .guarded = config->guarded_types,
        .allowed = config->allowed_types};
}

static struct partner_rules make_partner_defaults(const struct config *config)
{
    return (struct partner_rules){.events_per_s = (unsigned)config->partner_events_per_s,
        .events_burst = (unsigned)config->partner_events_burst,
        .bytes_per_s = (uint64_t)config->partner_bytes_per_s,
        .bytes_burst = (uint64_t)config->partner_bytes_burst};
}

static struct address_limits make_address_limits(const struct config *config)
{
    struct address_limits limits = {.connections_max = (unsigned)config->address_connections_max,
        .connections_per_s = (unsigned)config->address_connections_per_s,
        .requests_per_s = (unsigned)config->address_requests_per_s,
        .failures_max = (unsigned)config->address_failures_max};
    for (unsigned i = 0; i < config->address_exempt.count; i++)
        limits.exempt_count +=
            network_parse(slice_from_string(config->address_exempt.texts[i]), /* was checked */
                &limits.exempt[limits.exempt_count]);
    return limits;
}

static void read_proxies(struct gateway *gateway)
{
    const struct config_networks *networks = &gateway->options.config->ingress_proxies;
    for (unsigned i = 0; i < networks->count; i++)
        (void)network_parse(slice_from_string(networks->texts[i]), /* was checked */
            &gateway->proxies[i]);
}

static enum err make_ingress(struct gateway *gateway, unsigned number, int fd, int tls_fd)
{
    const struct config *config = gateway->options.config;
    const struct installation *installation = &gateway->installation;
    struct class_rules class_rules = make_class_rules(config);
    return ingress_new(
        &(struct ingress_options){
            .number = number,
            .listen_fd = fd,
            .tls_listen_fd = tls_fd,
            .tls = gateway->ingress_tls,
            .connections_max =
                gateway_smaller(config->ingress_connections_max, gateway->shares.partners),
            .descriptors_end = gateway->descriptors_end,
            .proxies = gateway->proxies,
            .proxies_count = config->ingress_proxies.count,
            .proxy_protocol = config->ingress_proxy_protocol,
            .directory = accounts_directory(gateway->accounts),
            .journals = gateway->journals,
            .budgets = gateway->budgets,
            .reader = gateway->reader,
            .seed = installation->seed,
            .partitions = installation->partitions,
            .shards = installation->shards,
            .receipt_key = slice_of(installation->receipt_key, RECEIPT_KEY_BYTES),
            .class_rules = &class_rules,
            .partner_limits = gateway->partner_limits,
            .addresses = gateway->addresses,
            .refusals = gateway->refusals,
            .rejections = gateway->rejections,
            .connector = gateway->connector,
            .broker = &gateway->broker,
            .broker_status = gateway->broker_status,
            .recent_keys = gateway->recent_keys,
            .operator_events = gateway->operator_sink,
            .publish_window = (unsigned)config->broker_window,
            .confirm_timeout_us = config->broker_confirm_timeout_us,
            .lag = gateway->lag,
            .lag_us_max = config->broker_lag_us_max,
            .outbox = !gateway->delivers,
            .intake_partner = config->intake_partner,
            .ingresses = gateway->ingresses,
            .threads = gateway->ingress_threads_wanted,
        },
        &gateway->ingresses[number]);
}

enum err start_ingress(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    unsigned threads = gateway->ingress_threads_wanted;
    struct listening cleartext = {.option = "ingress.listen", .text = config->ingress_listen};
    struct listening tls = {.option = "ingress.tls_listen", .text = config->ingress_tls_listen};
    enum err err = OK;
    if (gateway->uses_broker)
        gateway->recent_keys = recent_keys_new(threads * RECENT_KEYS_PER_THREAD);
    struct partner_rules partner_defaults = make_partner_defaults(gateway->options.config);
    struct address_limits address_limits = make_address_limits(gateway->options.config);
    gateway->addresses = address_table_new(&address_limits);
    read_proxies(gateway);
    gateway->refusals = refusals_new();
    gateway->descriptors_end = descriptors_end_for_partners(descriptors_limit(),
        descriptors_open() + DESCRIPTORS_OF_INGRESS_THREAD * threads, gateway->installation.shards);
    gateway->partner_limits = partner_limits_new(&gateway->installation.seed, &partner_defaults);
    partner_limits_set_lookups(gateway->partner_limits, (uint64_t)config->partner_lookups_per_s);
    for (unsigned i = 0; !err && i < threads; i++) {
        AUTO_CLOSE int fd = -1, tls_fd = -1;
        err = listen_on(&cleartext, &fd, complaints);
        if (!err)
            err = listen_on(&tls, &tls_fd, complaints);
        if (err)
            return err;
        err = make_ingress(gateway, i, TAKE_FD(fd), TAKE_FD(tls_fd));
        gateway->ingress_threads += !err;
    }
    /* All sockets listen before the first thread accepts: no connection reaches a socket that is
     * closed again at a failure. */
    for (unsigned i = 0; !err && i < threads; i++)
        err = ingress_start(gateway->ingresses[i]);
    if (err)
        return gateway_complain(complaints, err, "ingress.listen: the listener cannot start");
    write_url(&cleartext, false, gateway->ingress_url);
    write_url(&tls, true, gateway->ingress_tls_url);
    return OK;
}

/* No new events; those under way are answered. */
void stop_ingress(struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->ingress_threads; i++)
        ingress_stop(gateway->ingresses[i], gateway->drain_us);
    for (unsigned i = 0; i < gateway->ingress_threads; i++)
        ingress_join(gateway->ingresses[i]);
}

void free_ingress(struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->ingress_threads; i++)
        ingress_free(gateway->ingresses[i]);
    recent_keys_free(gateway->recent_keys);
    partner_limits_free(gateway->partner_limits);
    address_table_free(gateway->addresses);
    refusals_free(gateway->refusals);
}

void reload_ingress(struct gateway *gateway, const struct config *config)
{
    struct class_rules class_rules = make_class_rules(config);
    struct partner_rules partner_defaults = make_partner_defaults(config);
    struct address_limits address_limits = make_address_limits(config);
    if (gateway->ingress_threads) {
        partner_limits_set_defaults(gateway->partner_limits, &partner_defaults);
        partner_limits_set_lookups(
            gateway->partner_limits, (uint64_t)config->partner_lookups_per_s);
        address_table_set_limits(gateway->addresses, &address_limits);
    }
    for (unsigned i = 0; i < gateway->ingress_threads; i++)
        ingress_set_rules(gateway->ingresses[i], &class_rules);
}

/* For the tools, and for partners. */

/* admin.json says where the admin listener is (cli/remote.h). */
enum err publish_address(struct gateway *gateway, struct buffer *complaints)
{
    char text[128];
    int len = snprintf(
        text, sizeof text, "{\"admin\":\"%s\",\"pid\":%d}\n", gateway->admin_url, (int)getpid());
    enum err err = small_file_write(
        gateway->installation.directory, "admin.json", slice_of(text, (size_t)len));
    return err ? gateway_complain(complaints, err, "admin.json cannot be written") : OK;
}

enum err start_ready(struct gateway *gateway, struct buffer *complaints)
{
    (void)complaints;
    admin_set_ready(gateway->admin, true);
    return OK;
}

void stop_ready(struct gateway *gateway)
{
    admin_set_ready(gateway->admin, false);
}
