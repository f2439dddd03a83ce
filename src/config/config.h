/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: defaults, then the YAML file, then the environment. Each value is checked
 * against its row of option_table.h, and all values against each other (config_check.h). Every
 * complaint names the file with line and column, the variable, or the option, and the remedy.
 */
#ifndef PENSTOCK_CONFIG_CONFIG_H
#define PENSTOCK_CONFIG_CONFIG_H

#include "base/buffer.h"
#include "model/retry.h"
#include "model/type_list.h"
#include "runtime/log.h"

#include <stdio.h>

#define CONFIG_NETWORKS_MAX 64
#define CONFIG_NETWORK_TEXT_BYTES 64

struct config_networks {
    unsigned count;
    char texts[CONFIG_NETWORKS_MAX]
              [CONFIG_NETWORK_TEXT_BYTES]; /* checked where they are used (address_guard.h) */
};

#define CONFIG_ADDRESSES_MAX 16
#define CONFIG_ADDRESS_BYTES 262 /* host:port, NUL included */

struct config_addresses {
    unsigned count;
    char texts[CONFIG_ADDRESSES_MAX][CONFIG_ADDRESS_BYTES]; /* host, host:port; IPv6 in brackets */
};

struct config_roles {
    bool ingress, delivery;
};

enum config_queue_kind { CONFIG_QUEUE_DIRECT, CONFIG_QUEUE_RABBITMQ };

/*
 * One field per row of the table, which is checked against them (option.c). Texts are
 * NUL-terminated, and zeros follow, so that fields can be compared and copied as bytes.
 */
struct config {
    struct config_roles roles;
    int64_t partitions, shards, bytes_in_flight_max, reserve_bytes;
    int64_t retention_bodies_us, retention_history_us;
    int64_t queue_kind; /* enum config_queue_kind */
    struct config_addresses broker_addresses;
    char broker_vhost[256];
    char broker_credentials_file[4001], broker_ca_file[4001], broker_certificate_file[4001],
        broker_key_file[4001];
    int64_t broker_heartbeat_us, broker_confirm_timeout_us, broker_lag_us_max;
    int64_t broker_window, broker_prefetch, broker_prefetch_bytes;
    char data_directory[4001];
    char intake_partner[65];
    char leader_url[1025];
    char leader_token_file[4001], leader_ca_file[4001];
    char ingress_listen[256], ingress_tls_listen[256];
    char ingress_certificate_file[4001], ingress_key_file[4001], ingress_client_ca_file[4001];
    int64_t ingress_threads, ingress_connections_max;
    struct config_networks ingress_proxies;
    int64_t address_connections_max, address_connections_per_s, address_requests_per_s,
        address_failures_max;
    struct config_networks address_exempt;
    int64_t partner_events_per_s, partner_events_burst, partner_bytes_per_s, partner_bytes_burst,
        partner_lookups_per_s;
    char admin_listen[256], admin_tls_listen[256];
    char admin_certificate_file[4001], admin_key_file[4001], admin_client_ca_file[4001];
    struct config_addresses admin_hosts;
    char admin_token_file[4001], admin_readonly_token_file[4001];
    struct type_list critical_types, optional_types, guarded_types, allowed_types;
    int64_t connect_timeout_us, answer_timeout_us, guarded_answer_timeout_us;
    struct retry_schedule retry_schedule;
    int64_t retry_after_us_max;
    int64_t in_flight_per_endpoint, in_flight_per_shard, active_per_endpoint;
    struct config_networks allow_networks;
    int64_t freshness_us_max, backlog_max, past_due_us_max; /* of operator events */
    int64_t drain_us;
    int64_t log_level; /* enum log_level */
    char ca_file[4001];
    bool broker_tls, broker_taps, allow_http, core_dumps;
    bool ingress_proxy_protocol, admin_allow_cleartext;
};

void config_defaults(struct config *ret_config);

/*
 * `file` may be NULL (defaults and environment only). `environment` is environ, or the one of a
 * test. ERR_CONFIG: `complaints` has a line for each problem, and *ret_config is unchanged.
 */
enum err config_load(const char *file, char *const *environment, struct config *ret_config,
    struct buffer *complaints) MUST_CHECK;

struct complaints;

/* Complains about an option, where it got its value. */
void config_complain(struct complaints *complaints, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Loads as config_load does, for a gateway that is to run with this configuration: checks the files
 * that options name (config_check.h), rejects an empty file, and calls `more` for checks that
 * config/ cannot make. `more` may be NULL. For `check`, `serve` and a reload.
 */
enum err config_load_to_run(const char *file, char *const *environment,
    void (*more)(const struct config *config, struct complaints *complaints),
    struct config *ret_config, struct buffer *complaints) MUST_CHECK;

/* Sets one option by its key from text, as the environment would (for `penstock dev --ingress` and
 * the like). */
enum err config_set(struct config *config, const char *key, const char *value,
    struct buffer *complaints) MUST_CHECK;

/*
 * Takes from `fresh` the options that a reload may change. Options marked restart that differ stay
 * as they are; their keys are added to `needs_restart`, separated by spaces.
 */
void config_reload(struct config *config, const struct config *fresh, struct buffer *needs_restart);

/* Writes the data directory of `penstock dev` where nothing else is named:
 * $XDG_STATE_HOME/penstock, or ~/.local/state/penstock. */
void config_dev_directory(char *ret_path, size_t size);

void config_print_sample(struct buffer *text); /* the commented etc/penstock.yaml */
void config_print_help(struct buffer *text);   /* for --help: key, default, doc */

#endif
