/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a query that make a filter (model/delivery_filter.h). */
#include "admin/admin_internal.h"

#include "base/clock.h"
#include "model/delivery_filter.h"
#include "model/name.h"
#include "model/object_id.h"
#include "model/placement.h"

#include <stdlib.h>

#define ENDPOINT_RULE                                                                          \
    "must be the id of an endpoint such as ep_0123456789abcdef, the name of an endpoint with " \
    "the parameter account, or the word none for unrouted deliveries"

static const struct admin_parameter *find(
    const struct admin_parameter *parameters, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (parameters[i].given && strcmp(parameters[i].name, name) == 0)
            return &parameters[i];
    return NULL;
}

const struct endpoint *admin_endpoint_of(
    const struct admin *admin, struct slice account_id, struct slice text)
{
    if (!admin->options.accounts)
        return NULL;
    const struct directory *directory = accounts_directory(admin->options.accounts);
    const struct account *account = directory_account(directory, account_id);
    for (unsigned i = 0; account && i < account->endpoints_count; i++) {
        const struct endpoint *endpoint = directory_endpoint(directory, account->endpoints[i]);
        char id[ENDPOINT_ID_TEXT_BYTES];
        endpoint_id_format(account->endpoints[i], id);
        if (endpoint &&
            (slice_equals_string(text, endpoint->name) || slice_equals_string(text, id)))
            return endpoint;
    }
    return NULL;
}

/* An id, or the name of an endpoint of the account. */
static bool take_endpoint(const struct admin *admin, struct http_exchange *exchange,
    const struct admin_parameter *endpoint, const struct admin_parameter *account,
    struct delivery_filter *filter)
{
    struct slice text = slice_from_string(endpoint->value);
    const char *problem;
    if (delivery_filter_set(filter, endpoint->name, text, &problem))
        return true;
    if (!account || !name_is_valid(text)) {
        admin_refuse_member(exchange, endpoint->name, ENDPOINT_RULE);
        return false;
    }
    const struct endpoint *found =
        admin_endpoint_of(admin, slice_from_string(account->value), text);
    if (!found) {
        admin_refuse_member(exchange, endpoint->name,
            "is not an endpoint of this account: \"penstock endpoint list ACCOUNT\" shows them");
        return false;
    }
    filter->has_endpoint = true;
    filter->endpoint = found->id;
    return true;
}

/* A day is short for its two times. */
static bool take_day(struct http_exchange *exchange, const struct admin_parameter *day,
    struct delivery_filter *filter)
{
    int64_t number;
    if (!admin_take_day(exchange, day, &number))
        return false;
    if (filter->since_us || filter->until_us) {
        admin_refuse_member(exchange, day->name, "cannot be combined with since and until");
        return false;
    }
    filter->since_us = number * US_PER_DAY;
    filter->until_us = filter->since_us + US_PER_DAY;
    return true;
}

bool admin_take_filter(const struct admin *admin, struct http_exchange *exchange,
    const struct admin_parameter *parameters, size_t count, struct delivery_filter *ret_filter)
{
    struct delivery_filter filter = {0};
    const struct admin_parameter *day = find(parameters, count, "day");
    const char *problem, *name;
    for (size_t i = 0; delivery_filter_names[i]; i++) {
        const struct admin_parameter *parameter = find(parameters, count, delivery_filter_names[i]);
        if (!parameter)
            continue;
        if (strcmp(parameter->name, "endpoint") == 0) {
            if (!take_endpoint(
                    admin, exchange, parameter, find(parameters, count, "account"), &filter))
                return false;
        } else if (!delivery_filter_set(
                       &filter, parameter->name, slice_from_string(parameter->value), &problem)) {
            admin_refuse_member(exchange, parameter->name, problem);
            return false;
        }
    }
    if (day && !take_day(exchange, day, &filter))
        return false;
    if (!delivery_filter_finish(&filter, &name, &problem)) {
        admin_refuse_member(exchange, name, problem);
        return false;
    }
    *ret_filter = filter;
    return true;
}

const struct admin_parameter *admin_filter_unknown(
    const struct admin *admin, const struct admin_parameter *parameters, size_t count)
{
    const struct admin_parameter *account = find(parameters, count, "account"),
                                 *partner = find(parameters, count, "partner"),
                                 *endpoint = find(parameters, count, "endpoint");
    uint64_t id;
    if (account && !admin_knows_account(admin, account->value))
        return account;
    if (partner && !admin_knows_partner(admin, partner->value))
        return partner;
    if (endpoint && admin->options.accounts &&
        endpoint_id_parse(slice_from_string(endpoint->value), &id) &&
        !directory_endpoint(accounts_directory(admin->options.accounts), id))
        return endpoint;
    return NULL;
}

bool admin_shard_of(const struct admin *admin, const char *account, unsigned *ret_shard)
{
    const struct admin_installation *installation = &admin->options.installation;
    if (!*account || !installation->partitions || !admin->options.shards)
        return false;
    *ret_shard = placement_shard(placement_partition(&installation->seed,
                                     slice_from_string(account), installation->partitions),
        admin->options.shards);
    return true;
}

bool admin_take_limit(struct http_exchange *exchange, const struct admin_parameter *parameter,
    unsigned limit_max, unsigned *ret_limit)
{
    char *end;
    if (!parameter->given)
        return true;
    unsigned long limit = strtoul(parameter->value, &end, 10);
    if (*end || parameter->value[0] < '1' || parameter->value[0] > '9' || limit > limit_max) {
        admin_refuse_member(exchange, parameter->name, "must be a number from 1 to 1000");
        return false;
    }
    *ret_limit = (unsigned)limit;
    return true;
}

void admin_answer_page(struct http_exchange *exchange, const char *name, json_t *items,
    json_t *next, const struct admin_parameter *unknown, bool complete)
{
    if (unknown && complete && json_array_size(items) == 0) {
        json_decref(items);
        json_decref(next);
        admin_answer_unknown(exchange, unknown->name, unknown->value);
        return;
    }
    json_t *answer = json_pack("{s:o, s:o}", name, items, "next", next);
    if (unknown)
        json_object_set_new(answer, "unknown",
            json_pack("{s:s, s:s}", "what", unknown->name, "id", unknown->value));
    admin_answer_json(exchange, 200, answer);
}

void admin_answer_unread(struct http_exchange *exchange, enum err error)
{
    if (error == ERR_INVALID)
        admin_refuse_member(exchange, "cursor", ADMIN_CURSOR_RULE);
    else
        http_answer_problem(exchange, error, ADMIN_JOURNALS_UNREADABLE, NULL);
}
