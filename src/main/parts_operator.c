/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the gateway: operator events. They are made before the parts that post to them, and
 * their thread runs while the journals do. */
#include "main/gateway_internal.h"

static struct operator_limits limits_of(const struct config *config)
{
    return (struct operator_limits){.freshness_us_max = config->freshness_us_max,
        .backlog_max = config->backlog_max,
        .past_due_us_max = config->past_due_us_max};
}

enum err make_operator_events(struct gateway *gateway, struct buffer *complaints)
{
    const struct installation *installation = &gateway->installation;
    enum err err = operator_events_new(
        &(struct operator_events_options){
            .accounts = gateway->accounts,
            .journals = gateway->journals,
            .seed = installation->seed,
            .partitions = installation->partitions,
            .shards = installation->shards,
            .stores = gateway->delivers,
            .limits = limits_of(gateway->options.config),
        },
        &gateway->operator_events);
    if (err)
        return gateway_complain(complaints, err, "operator events cannot start");
    gateway->operator_sink = operator_events_sink(gateway->operator_events);
    return OK;
}

void free_operator_events(struct gateway *gateway)
{
    operator_events_free(gateway->operator_events);
}

enum err start_operator_events(struct gateway *gateway, struct buffer *complaints)
{
    enum err err = operator_events_start(gateway->operator_events);
    return err ? gateway_complain(complaints, err, "operator events cannot start") : OK;
}

void stop_operator_events(struct gateway *gateway)
{
    operator_events_stop(gateway->operator_events);
}

void reload_operator_events(struct gateway *gateway, const struct config *config)
{
    const struct operator_limits limits = limits_of(config);
    operator_events_set_limits(gateway->operator_events, &limits);
}
