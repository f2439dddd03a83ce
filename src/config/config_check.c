/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_check.h"

#include "base/pem.h"
#include "model/name.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE_BYTES_MAX 4096 /* a token, or user:password */

static void complain(struct complaints *complaints, const char *key, const char *what)
{
    config_complain(complaints, key, "%s", what);
}

static void check_roles(const struct config *config, struct complaints *complaints)
{
    if (!config->roles.ingress)
        complain(complaints, "roles",
            "delivery alone is not supported, since the delivering gateway takes events as well: "
            "write [ingress, delivery]");
    else if (!config->roles.delivery && config->queue_kind != CONFIG_QUEUE_RABBITMQ)
        complain(complaints, "roles",
            "ingress alone needs queue.kind: rabbitmq, since its events reach the delivering "
            "gateway through the broker: set queue.kind, or write [ingress, delivery]");
}

static bool is_url(const char *text)
{
    const char *host = strncmp(text, "http://", 7) == 0    ? text + 7
                       : strncmp(text, "https://", 8) == 0 ? text + 8
                                                           : "";
    return *host && *host != '/' && !strpbrk(host, " ?#@");
}

/* The token and the secrets of partners travel to and from the leader. */
static bool is_cleartext_to_others(const char *url)
{
    char host[256];
    struct in_addr address;
    if (strncmp(url, "http://", 7) != 0)
        return false;
    url += 7;
    size_t len = *url == '[' ? strcspn(url, "]") + 1 : strcspn(url, ":/");
    snprintf(host, sizeof host, "%.*s", (int)len, url);
    bool is_loopback =
        strcmp(host, "[::1]") == 0 || strcasecmp(host, "localhost") == 0 ||
        (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET);
    return !is_loopback;
}

static void check_leader(const struct config *config, struct complaints *complaints)
{
    bool follows = config->roles.ingress && !config->roles.delivery;
    if (*config->leader_url && !follows)
        complain(complaints, "leader.url",
            "must be empty for a gateway with delivery, which is the leader: remove it, or remove "
            "delivery from roles");
    else if (*config->leader_url && !is_url(config->leader_url))
        complain(complaints, "leader.url",
            "must begin with http:// or https:// and be the URL of the leader's admin listener, "
            "such as https://leader.example:9640");
    else if (!*config->leader_url && follows)
        complain(complaints, "leader.url",
            "is missing: a gateway without delivery gets its accounts from the delivering gateway. "
            "Set it to the URL of that gateway's admin listener, such as "
            "https://leader.example:9640");
    else if (is_cleartext_to_others(config->leader_url))
        complain(complaints, "leader.url",
            "must begin with https://, since the token and the secrets of partners travel in it: "
            "set admin.tls_listen at the leader, and use its address");
    if (*config->leader_url && !*config->leader_token_file)
        complain(complaints, "leader.token_file",
            "is missing: set it to a file with a token of the leader's admin API, which is a copy "
            "of the leader's keys/readonly.token");
    if (!*config->leader_url && *config->leader_ca_file)
        complain(complaints, "leader.ca_file",
            "has no effect without leader.url: set leader.url, or remove this option");
}

static void check_broker(const struct config *config, struct complaints *complaints)
{
    if (!*config->broker_certificate_file != !*config->broker_key_file)
        complain(complaints,
            *config->broker_key_file ? "broker.certificate_file" : "broker.key_file",
            "is missing: set both broker.certificate_file and broker.key_file, or neither of them");
    if (!config->broker_tls &&
        (*config->broker_ca_file || *config->broker_certificate_file || *config->broker_key_file))
        complain(complaints, "broker.tls",
            "must be true when broker.ca_file, broker.certificate_file or broker.key_file is set: "
            "set it to true, or remove these options");
    if (!*config->intake_partner)
        return;
    if (!name_is_valid(slice_from_string(config->intake_partner)))
        complain(complaints, "intake.partner", NAME_RULE);
    if (config->queue_kind != CONFIG_QUEUE_RABBITMQ)
        complain(complaints, "intake.partner",
            "needs queue.kind: rabbitmq, since the intake queue is in the broker: set queue.kind, "
            "or remove intake.partner");
}

/* The pattern of `list` that matches all types that `pattern` matches, or NULL. */
static const char *covered_by(const char *pattern, const struct type_list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        const char *other = list->patterns[i];
        size_t len = strlen(other);
        bool is_beginning = len > 0 && other[len - 1] == '*';
        if (strcmp(pattern, other) == 0 || (is_beginning && strncmp(pattern, other, len - 1) == 0))
            return other;
    }
    return NULL;
}

/* A critical or guarded type is never optional. Wider optional patterns are fine: they get the
 * other types. */
static void check_types(const struct config *config, struct complaints *complaints)
{
    for (unsigned i = 0; i < config->optional_types.count; i++) {
        const char *pattern = config->optional_types.patterns[i];
        const char *critical = covered_by(pattern, &config->critical_types);
        const char *guarded = covered_by(pattern, &config->guarded_types);
        if (critical || guarded)
            config_complain(complaints, "events.optional_types",
                "\"%s\" is %s as well (\"%s\" in events.%s_types): remove it from one of the lists",
                pattern, critical ? "critical" : "guarded", critical ? critical : guarded,
                critical ? "critical" : "guarded");
    }
}

static void check_retention(const struct config *config, struct complaints *complaints)
{
    int64_t bodies = config->retention_bodies_us, history = config->retention_history_us;
    if (history && (bodies == 0 || bodies > history))
        complain(complaints, "retention.bodies",
            "must not be longer than retention.history, since an expired event has no body: lower "
            "retention.bodies, or raise retention.history");
}

static void check_delivery(const struct config *config, struct complaints *complaints)
{
    if (config->in_flight_per_endpoint > config->in_flight_per_shard)
        complain(complaints, "delivery.in_flight_per_endpoint",
            "must not be more than delivery.in_flight_per_shard: lower "
            "delivery.in_flight_per_endpoint, or raise delivery.in_flight_per_shard");
    if (config->active_per_endpoint < config->in_flight_per_endpoint)
        complain(complaints, "delivery.active_per_endpoint",
            "must not be less than delivery.in_flight_per_endpoint, since requests in flight are "
            "in memory: raise delivery.active_per_endpoint, or lower "
            "delivery.in_flight_per_endpoint");
}

static void check_data(const struct config *config, struct complaints *complaints)
{
    if (config->shards > config->partitions)
        complain(complaints, "data.shards",
            "must not be more than data.partitions, since each shard needs a partition: lower "
            "data.shards");
}

void config_check(const struct config *config, struct complaints *complaints)
{
    check_roles(config, complaints);
    check_leader(config, complaints);
    check_broker(config, complaints);
    check_types(config, complaints);
    check_retention(config, complaints);
    check_delivery(config, complaints);
    check_data(config, complaints);
    config_check_tls(config, complaints);
}

/* Files and directories. */

static bool check_file(struct complaints *complaints, const char *key, const char *path,
    const char *remedy, bool (*holds)(const char *path, char *ret_problem))
{
    char problem[PEM_PROBLEM_BYTES];
    if (!*path || holds(path, problem))
        return true;
    config_complain(complaints, key, "%s %s: %s", path, problem, remedy);
    return false;
}

static bool holds_secret(const char *path, char *ret_problem)
{
    return file_is_readable(path, SECRET_FILE_BYTES_MAX, ret_problem);
}

/* Checks the directory, or the nearest existing one above it, in which it will be made. */
void config_check_data_directory(const struct config *config, struct complaints *complaints)
{
    const char *directory = config->data_directory;
    char path[4097];
    struct stat status;
    snprintf(path, sizeof path, "%s", directory);
    while (stat(path, &status) && errno == ENOENT) {
        char *slash = strrchr(path, '/');
        if (!slash) {
            snprintf(path, sizeof path, ".");
            break;
        }
        slash[slash == path] = '\0';
    }
    bool is_there = strcmp(path, directory) == 0;
    if (stat(path, &status))
        config_complain(complaints, "data.directory",
            "%s cannot be reached: %s: choose another directory", path, strerror(errno));
    else if (!S_ISDIR(status.st_mode))
        config_complain(
            complaints, "data.directory", "%s is not a directory: choose another path", path);
    else if (access(path, W_OK | X_OK))
        config_complain(complaints, "data.directory",
            "%s %s (%s): change its owner to the user of the gateway, or choose another directory",
            path,
            is_there ? "cannot be written"
                     : "cannot be written, so the directory cannot be created in it",
            strerror(errno));
}

void config_check_files(const struct config *config, struct complaints *complaints)
{
    static const char pem_remedy[] = "choose a file with certificates in PEM form";
    (void)check_file(
        complaints, "delivery.ca_file", config->ca_file, pem_remedy, pem_holds_certificates);
    (void)check_file(complaints, "admin.token_file", config->admin_token_file,
        "choose a file with the token, or remove the option", holds_secret);
    if (*config->leader_url)
        (void)check_file(complaints, "leader.token_file", config->leader_token_file,
            "set it to a copy of the leader's keys/readonly.token", holds_secret);
    (void)check_file(
        complaints, "leader.ca_file", config->leader_ca_file, pem_remedy, pem_holds_certificates);
    (void)check_file(complaints, "admin.readonly_token_file", config->admin_readonly_token_file,
        "choose a file with the token, or remove the option", holds_secret);
    config_check_tls_files(config, complaints);
    if (config->queue_kind != CONFIG_QUEUE_RABBITMQ)
        return;
    (void)check_file(complaints, "broker.credentials_file", config->broker_credentials_file,
        "choose a file with user:password", holds_secret);
    (void)check_file(
        complaints, "broker.ca_file", config->broker_ca_file, pem_remedy, pem_holds_certificates);
    bool both = *config->broker_certificate_file && *config->broker_key_file;
    both &= check_file(complaints, "broker.certificate_file", config->broker_certificate_file,
        pem_remedy, pem_holds_certificates);
    both &= check_file(complaints, "broker.key_file", config->broker_key_file,
        "choose the key of the certificate", pem_holds_key);
    if (both && !pem_key_fits(config->broker_certificate_file, config->broker_key_file))
        config_complain(complaints, "broker.key_file",
            "%s is not the key of the certificate in %s: choose the key of that certificate",
            config->broker_key_file, config->broker_certificate_file);
}
