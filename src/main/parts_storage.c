/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the gateway: data directory, account database, journals and their reader. */
#include "accounts/replication.h"
#include "base/clock.h"
#include "base/limits.h"
#include "cluster/leader.h"
#include "journal/journal_sqlite.h"
#include "main/data_files.h"
#include "main/gateway_internal.h"
#include "runtime/log.h"
#include "runtime/rcu.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The data directory. */

/* The default limits are for a server. A gateway for trying out does not reach them. */
static bool is_demo_with_defaults(const struct gateway *gateway, uint64_t limit)
{
    const struct config *config = gateway->options.config;
    return gateway->options.is_demo && limit >= 20000 && config->ingress_connections_max <= 10000 &&
           config->in_flight_per_shard <= 1024;
}

static void share_descriptors(struct gateway *gateway)
{
    const struct config *config = gateway->options.config;
    uint64_t limit = descriptors_limit();
    gateway->shares =
        descriptors_share(limit, gateway->installation.shards, gateway->ingress_threads_wanted);
    unsigned partners = gateway->shares.partners, in_flight = gateway->shares.deliveries / 4 * 3;
    if (is_demo_with_defaults(gateway, limit))
        return;
    if (config->ingress_connections_max > partners || config->in_flight_per_shard > in_flight)
        log_warn(
            "The limit of %llu open files is too low. Penstock uses %u for "
            "ingress.connections_max and %u for delivery.in_flight_per_shard. Raise the limit, "
            "or lower these options.",
            (unsigned long long)limit, gateway_smaller(config->ingress_connections_max, partners),
            gateway_smaller(config->in_flight_per_shard, in_flight));
}

enum err start_installation(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    const struct leader leader = leader_from_config(config);
    const struct data_token_files tokens = {
        config->admin_token_file, config->admin_readonly_token_file};
    gateway->installation.lock_fd = -1; /* until it is open */
    enum err err = *config->leader_url
                       ? data_directory_follow(config->data_directory, &leader, &tokens,
                             &gateway->installation, complaints)
                       : data_directory_open(config->data_directory, (unsigned)config->partitions,
                             (unsigned)config->shards, &tokens, &gateway->installation, complaints);
    if (!err)
        share_descriptors(gateway);
    return err;
}

void free_installation(struct gateway *gateway)
{
    if (gateway->installation.lock_fd < 0)
        return;
    if (!atomic_load(&gateway->failed)) /* else the content of the disk is in doubt: no change */
        data_files_stamp_stop(&gateway->installation);
    data_directory_close(&gateway->installation);
}

/* Before the databases are closed: while they are open, they are as a crash would leave them. */
void stop_use(struct gateway *gateway)
{
    data_directory_leave(&gateway->installation);
}

/* The account database. */

/* The first start makes it. A disk that is full is no reason not to start: the next start tries it
 * again. An account or a partner that somebody else has made is not taken over: the money of its
 * events would leave the totals, and its endpoints would get the operator events. */
static enum err reserve_operator_account(struct accounts *accounts, struct buffer *complaints)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_RESERVE_OPERATORS};
    enum err err = accounts_call(accounts, &request);
    if (err == OK || err == ERR_EXISTS)
        return OK;
    if (err == ERR_DISK || err == ERR_DISK_FULL) {
        log_warn("the account %s of operator events could not be added: they have no endpoints "
                 "until the next start error=%s",
            OPERATOR_ACCOUNT, err_name(err));
        return OK;
    }
    if (err != ERR_INVALID)
        return gateway_complain(complaints, err, "the account of operator events cannot be added");
    buffer_add_format(complaints,
        "%s: the name is reserved for operator events. With the version of Penstock that made "
        "them, withdraw the grants, remove the endpoints and disable the partner, and start this "
        "version again\n",
        request.detail);
    return ERR_CONFIG;
}

static enum err switch_deliveries_off(struct gateway *gateway, struct buffer *complaints)
{
    const char *reason = gateway->options.deliveries_off;
    struct accounts_request request = {.base.kind = ACCOUNTS_SET_SWITCH,
        .switch_wanted = {.kind = SWITCH_DELIVERIES, .is_off = true, .actor = "the command line"}};
    enum err err = strlen(reason) <= ACTION_NOTE_BYTES_MAX ? OK : ERR_USAGE;
    snprintf(request.switch_wanted.reason, sizeof request.switch_wanted.reason, "%.*s",
        ACTION_NOTE_BYTES_MAX, reason);
    if (!err)
        err = accounts_call(gateway->accounts, &request);
    if (err)
        buffer_add_format(complaints, "--deliveries-off: the reason " SWITCH_REASON_RULE "%s%s\n",
            *request.detail ? ": " : "", request.detail);
    return err;
}

enum err start_accounts(struct gateway *gateway, struct buffer *complaints)
{
    char detail[256] = "";
    const struct installation *installation = &gateway->installation;
    enum err err =
        accounts_open(installation->directory, &installation->seed, &gateway->accounts, detail);
    if (err) {
        buffer_add_format(complaints, "%s\n", *detail ? detail : err_title(err));
        return err;
    }
    if (*gateway->options.config->leader_url && gateway->options.deliveries_off)
        return gateway_complain(complaints, ERR_USAGE,
            "--deliveries-off: this gateway follows another one: switch deliveries off there");
    if (*gateway->options.config->leader_url)
        return OK;
    struct accounts_replication lead = {.base.kind = REPLICATION_LEAD};
    err = accounts_replicate_call(gateway->accounts, &lead);
    if (err) {
        buffer_add_format(complaints, "%s\n", *lead.detail ? lead.detail : err_title(err));
        return err;
    }
    err = reserve_operator_account(gateway->accounts, complaints);
    if (err)
        return err;
    if (gateway->options.deliveries_off)
        err = switch_deliveries_off(gateway, complaints);
    if (err)
        return err;
    if (gateway->options.prepare)
        err = gateway->options.prepare(gateway->accounts, installation, gateway->options.context);
    return err ? gateway_complain(complaints, err, "the demo accounts cannot be created") : OK;
}

void stop_accounts(struct gateway *gateway)
{
    accounts_stop(gateway->accounts);
}

/* The journals. */

static void on_journal_failed(void *context, enum err err)
{
    struct gateway *gateway = context;
    log_error("the content of a journal is uncertain, so the journal and the gateway stop. Start "
              "the gateway again: it then reads what is on the disk error=%s",
        err_name(err));
    if (!atomic_exchange(&gateway->failed, true))
        kill(getpid(), SIGTERM); /* main waits for signals */
}

/* The part of the reserve that one shard has. */
static int64_t reserve_of_shard(const struct gateway *gateway)
{
    int64_t all = gateway->options.config->reserve_bytes, part = all / gateway->installation.shards;
    return all > 0 && part < RESERVE_BYTES_MIN ? RESERVE_BYTES_MIN : part;
}

/* Roles and queue.kind may change between two runs, but what the last run left must be finished
 * first. ERR_CONFIG: this gateway cannot finish it. */
static enum err check_found(const struct gateway *gateway, struct buffer *complaints)
{
    struct journal_found found = {0};
    for (unsigned i = 0; i < gateway->installation.shards; i++) {
        found.open += gateway->journals[i]->found.open;
        found.broker_owned += gateway->journals[i]->found.broker_owned;
        found.outbox += gateway->journals[i]->found.outbox;
    }
    if (!gateway->delivers && found.open + found.broker_owned > 0)
        buffer_add_format(complaints,
            "roles: the journals hold %lld pending or waiting deliveries and %lld events of the "
            "broker, which this role does not deliver. Run the gateway with roles: [ingress, "
            "delivery] until \"penstock status\" shows none\n",
            (long long)found.open, (long long)found.broker_owned);
    else if (gateway->delivers && found.outbox > 0)
        buffer_add_format(complaints,
            "roles: the journals hold %lld events that wait for the broker. Run the gateway with "
            "roles: [ingress] until \"penstock status\" shows none\n",
            (long long)found.outbox);
    else if (!gateway->uses_broker && found.broker_owned + found.outbox > 0)
        buffer_add_format(complaints,
            "queue.kind: the journals hold %lld events of the broker and %lld that wait for it. "
            "Run the gateway with queue.kind: rabbitmq until \"penstock status\" shows none\n",
            (long long)found.broker_owned, (long long)found.outbox);
    else
        return OK;
    return ERR_CONFIG;
}

enum err start_journals(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    int64_t reserve = reserve_of_shard(gateway);
    for (unsigned i = 0; i < gateway->installation.shards; i++) {
        char detail[256] = "";
        struct journal_sqlite_options options = {.directory = gateway->installation.directory,
            .shard = i,
            .expiry = {config->retention_bodies_us, config->retention_history_us},
            .reserve_bytes = reserve,
            .reserve_all_bytes = reserve * gateway->installation.shards,
            .listener = {.on_failed = on_journal_failed,
                .context = gateway,
                .operator_events = gateway->operator_sink}};
        if (gateway->delivers)
            delivery_shard_listen_to_journal(gateway->deliveries[i], &options.listener);
        enum err err = journal_sqlite_open(&options, &gateway->journals[i], detail);
        if (err) {
            buffer_add_format(complaints, "journal %u: %s\n", i, *detail ? detail : err_title(err));
            return err;
        }
    }
    return check_found(gateway, complaints);
}

void stop_journals(struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->installation.shards; i++)
        journal_stop(gateway->journals[i]);
}

/* The reader of the journals. */

enum err start_reader(struct gateway *gateway, struct buffer *complaints)
{
    const struct installation *installation = &gateway->installation;
    enum err err =
        journal_reader_open(installation->directory, installation->shards, &gateway->reader);
    if (err)
        return gateway_complain(complaints, err, "the reader of the journals cannot start");
    for (unsigned i = 0; i < installation->losses_count; i++) {
        const struct installation_loss *loss = &installation->losses[i];
        gateway->losses[i].day = loss->at_us / US_PER_DAY;
        snprintf(gateway->losses[i].place, sizeof gateway->losses[i].place, "%s (%s): %s",
            loss->file, loss->problem, loss->note);
    }
    journal_reader_set_losses(gateway->reader, gateway->losses, installation->losses_count);
    return OK;
}

void stop_reader(struct gateway *gateway)
{
    journal_reader_stop(gateway->reader);
}
