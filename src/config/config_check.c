/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_check.h"

#include "model/name.h"

#include <string.h>

static void complain(struct complaints *complaints, const char *key, const char *what)
{
    config_complain(complaints, key, "%s", what);
}

static void check_roles(const struct config *config, struct complaints *complaints)
{
    if (!config->roles.ingress)
        complain(complaints, "roles",
            "delivery alone is not taken: the delivering gateway takes events as well; write "
            "[ingress, delivery]");
    else if (!config->roles.delivery && config->queue_kind != CONFIG_QUEUE_RABBITMQ)
        complain(complaints, "roles",
            "ingress alone needs queue.kind: rabbitmq, since its events reach the delivering "
            "gateway through the "
            "broker");
}

static bool is_url(const char *text)
{
    const char *host = strncmp(text, "http://", 7) == 0    ? text + 7
                       : strncmp(text, "https://", 8) == 0 ? text + 8
                                                           : "";
    return *host && *host != '/' && !strpbrk(host, " ?#");
}

static void check_leader(const struct config *config, struct complaints *complaints)
{
    bool follows = config->roles.ingress && !config->roles.delivery;
    if (*config->leader_url && !follows)
        complain(complaints, "leader.url",
            "a gateway with delivery leads and follows nobody: leave it out, or take delivery out "
            "of roles");
    else if (*config->leader_url && !is_url(config->leader_url))
        complain(complaints, "leader.url",
            "must begin with http:// or https:// and name the leader's admin listener, such as "
            "https://leader.example:9640");
    else if (!*config->leader_url && follows)
        complain(complaints, "leader.url",
            "is missing: a gateway without delivery gets its accounts from the delivering one; "
            "name that one's admin "
            "listener, such as https://leader.example:9640");
    if (*config->leader_url && !*config->leader_token_file)
        complain(complaints, "leader.token_file",
            "is missing: name a file that holds the leader's admin token (its keys/admin.token)");
}

static void check_broker(const struct config *config, struct complaints *complaints)
{
    if (!*config->broker_certificate_file != !*config->broker_key_file)
        complain(complaints,
            *config->broker_key_file ? "broker.certificate_file" : "broker.key_file",
            "is missing: broker.certificate_file and broker.key_file go together");
    if (!config->broker_tls &&
        (*config->broker_ca_file || *config->broker_certificate_file || *config->broker_key_file))
        complain(complaints, "broker.tls",
            "must be true when there are certificates: nothing would be encrypted");
    if (!*config->intake_partner)
        return;
    if (!name_is_valid(slice_from_string(config->intake_partner)))
        complain(complaints, "intake.partner", NAME_RULE);
    if (config->queue_kind != CONFIG_QUEUE_RABBITMQ)
        complain(
            complaints, "intake.partner", "needs queue.kind: rabbitmq, where the intake queue is");
}

/* A pattern of `list` takes all types that `pattern` takes. */
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

/* A critical or guarded type is never optional, whatever stands there. Optional patterns that are
 * wider are fine: they take the rest. */
static void check_types(const struct config *config, struct complaints *complaints)
{
    for (unsigned i = 0; i < config->optional_types.count; i++) {
        const char *pattern = config->optional_types.patterns[i];
        const char *critical = covered_by(pattern, &config->critical_types);
        const char *guarded = covered_by(pattern, &config->guarded_types);
        if (critical || guarded)
            config_complain(complaints, "events.optional_types",
                "\"%s\" is %s as well (\"%s\" in events.%s_types): take it out of one of the lists",
                pattern, critical ? "critical" : "guarded", critical ? critical : guarded,
                critical ? "critical" : "guarded");
    }
}

static void check_retention(const struct config *config, struct complaints *complaints)
{
    int64_t bodies = config->retention_bodies_us, history = config->retention_history_us;
    if (history && (bodies == 0 || bodies > history))
        complain(complaints, "retention.bodies",
            "must not be longer than retention.history: nobody could ask for the body of an event "
            "that is not known "
            "any "
            "more");
}

static void check_delivery(const struct config *config, struct complaints *complaints)
{
    if (config->in_flight_per_endpoint > config->in_flight_per_shard)
        complain(complaints, "delivery.in_flight_per_endpoint",
            "must not be more than delivery.in_flight_per_shard: one endpoint can't have more than "
            "all of them");
    if (config->active_per_endpoint < config->in_flight_per_endpoint)
        complain(complaints, "delivery.active_per_endpoint",
            "must not be less than delivery.in_flight_per_endpoint: what is under way is in "
            "memory");
}

static void check_data(const struct config *config, struct complaints *complaints)
{
    if (config->shards > config->partitions)
        complain(complaints, "data.shards",
            "must not be more than data.partitions: a shard without one has nothing to do");
    size_t len = strlen(config->ingress_listen);
    bool any_port = len > 2 && strcmp(config->ingress_listen + len - 2, ":0") == 0;
    if (!any_port && strcmp(config->ingress_listen, config->admin_listen) == 0)
        complain(complaints, "admin.listen",
            "is the address of ingress.listen as well: choose another port");
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
}
