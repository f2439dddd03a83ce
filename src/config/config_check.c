/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_check.h"

#include "model/name.h"

#include <string.h>

static void complain(struct complaints *complaints, const char *key, const char *what)
{
    struct complaint_place place = {.subject = key};
    complaint_add(complaints, &place, "%s", what);
}

static void check_roles(const struct config *config, struct complaints *complaints)
{
    if (!config->roles.ingress)
        complain(complaints, "roles",
            "delivery alone is not taken: the delivering gateway takes events as well; write [ingress, delivery]");
    else if (!config->roles.delivery && config->queue_kind != CONFIG_QUEUE_RABBITMQ)
        complain(complaints, "roles",
            "ingress alone needs queue.kind: rabbitmq, since its events reach the delivering gateway through the "
            "broker");
}

static bool is_url(const char *text)
{
    const char *host = strncmp(text, "http://", 7) == 0 ? text + 7 : strncmp(text, "https://", 8) == 0 ? text + 8 : "";
    return *host && *host != '/' && !strpbrk(host, " ?#");
}

static void check_leader(const struct config *config, struct complaints *complaints)
{
    bool follows = config->roles.ingress && !config->roles.delivery;
    if (*config->leader_url && !follows)
        complain(complaints, "leader.url",
            "a gateway with delivery leads and follows nobody: leave it out, or take delivery out of roles");
    else if (*config->leader_url && !is_url(config->leader_url))
        complain(complaints, "leader.url",
            "must begin with http:// or https:// and name the leader's admin listener, such as "
            "https://leader.example:9640");
    else if (!*config->leader_url && follows)
        complain(complaints, "leader.url",
            "is missing: a gateway without delivery gets its accounts from the delivering one; name that one's admin "
            "listener, such as https://leader.example:9640");
    if (*config->leader_url && !*config->leader_token_file)
        complain(complaints, "leader.token_file",
            "is missing: name a file that holds the leader's admin token (its keys/admin.token)");
}

static void check_broker(const struct config *config, struct complaints *complaints)
{
    if (!*config->broker_certificate_file != !*config->broker_key_file)
        complain(complaints, *config->broker_key_file ? "broker.certificate_file" : "broker.key_file",
            "is missing: broker.certificate_file and broker.key_file go together");
    if (!config->broker_tls &&
        (*config->broker_ca_file || *config->broker_certificate_file || *config->broker_key_file))
        complain(complaints, "broker.tls", "must be true when there are certificates: nothing would be encrypted");
    if (!*config->intake_partner)
        return;
    if (!name_is_valid(slice_from_string(config->intake_partner)))
        complain(complaints, "intake.partner", NAME_RULE);
    if (config->queue_kind != CONFIG_QUEUE_RABBITMQ)
        complain(complaints, "intake.partner", "needs queue.kind: rabbitmq, where the intake queue is");
}

void config_check(const struct config *config, struct complaints *complaints)
{
    check_roles(config, complaints);
    check_leader(config, complaints);
    check_broker(config, complaints);
}
