/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For gateways that follow this one.
 *
 * GET /api/v1/installation: id, seed, counts and receipt key. The token protects the receipt key:
 * its owner can make receipts.
 *
 * GET /api/v1/changes?after=V&wait=S: the objects of the accounts that changed after version V. An
 * answer is a page (accounts/replication.h): `version` is the last change in it, and `more` says
 * that there are later ones. Without changes the answer waits for one, at most S seconds.
 * `restart`: V is higher than the last change of this gateway, which was restored from a backup;
 * follow it from 0 on.
 *
 * What followers need: the secrets that partners sign with, the hashes of keys, and the receipt
 * key. They do not deliver, so they get no secrets and no policies of endpoints. Of an endpoint's
 * URL they get the host only, because paths and queries of URLs often have a secret.
 *
 * Requests that wait are in a list that each tick of the loop looks at, about every 100 ms.
 */
#include "admin/admin_internal.h"

#include "accounts/replication.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_S_MAX 30
#define WAITING_MAX 64 /* at the same time; further ones are answered at once */

struct admin_feed {
    struct accounts_replication replication;
    struct admin *admin;
    struct http_exchange *exchange;
    struct list in_waiting;
    int64_t until_mono_us;
};

/* Objects. */

static json_t *partner_view(const struct accounts_object *object)
{
    const struct partner *partner = object->partner;
    json_t *secrets = json_array();
    for (unsigned i = 0; i < partner->secrets_count; i++) {
        char id[PARTNER_SECRET_ID_TEXT_BYTES], text[SECRET_TEXT_BYTES];
        partner_secret_id_format(partner->secrets[i].id, id);
        secret_format(&partner->secrets[i].secret, text);
        json_array_append_new(
            secrets, json_pack("{s:s, s:s, s:I}", "id", id, "secret", text, "created_us",
                         (json_int_t)partner->secrets[i].created_us));
    }
    return json_pack("{s:s, s:b, s:s, s:o, s:o}", "id", partner->id, "enabled",
        (int)partner->enabled, "key_pointer", partner->key_pointer, "rules",
        admin_view_rules(&partner->rules), "secrets", secrets);
}

static json_t *account_view(const struct accounts_object *object)
{
    return json_pack(
        "{s:s, s:b}", "id", object->account.id, "enabled", (int)object->account.enabled);
}

/* Copies "https://host:port/" of a URL. URLs of endpoints have no user name. */
static void copy_origin(const char *url, char ret_origin[URL_BYTES_MAX + 2])
{
    const char *host = strstr(url, "://");
    size_t len = host ? (size_t)(host - url) + 3 : 0;
    len += strcspn(url + len, "/?#");
    snprintf(ret_origin, URL_BYTES_MAX + 2, "%.*s/", (int)len, url);
}

static json_t *endpoint_view(const struct accounts_object *object)
{
    const struct endpoint *endpoint = object->endpoint;
    char id[ENDPOINT_ID_TEXT_BYTES], origin[URL_BYTES_MAX + 2];
    endpoint_id_format(endpoint->id, id);
    copy_origin(endpoint->url, origin);
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:I, s:s}", "id", id, "account",
        endpoint->account, "name", endpoint->name, "url", origin, "enabled", (int)endpoint->enabled,
        "idempotent", (int)endpoint->idempotent, "final_4xx", (int)endpoint->final_4xx, "types",
        admin_view_types(&endpoint->types), "disabled_us", (json_int_t)endpoint->disabled_us,
        "disabled_reason", endpoint->disabled_reason);
}

static json_t *credential_view(const struct accounts_object *object)
{
    const struct credential *credential = object->credential;
    char sha256[2 * SHA256_BYTES + 1];
    hex_encode(slice_of(credential->sha256, SHA256_BYTES), sha256);
    return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "sha256", sha256, "partner",
        credential->partner, "label", credential->label, "expires_us",
        (json_int_t)credential->expires_us, "accounts", admin_view_accounts(&credential->scope),
        "types", admin_view_types(&credential->scope.types));
}

static json_t *grant_view(const struct accounts_object *object)
{
    return json_pack(
        "{s:s, s:s}", "partner", object->grant.partner, "account", object->grant.account);
}

static json_t *switch_view(const struct accounts_object *object)
{
    const struct operator_switch *off = object->off;
    char id[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(off->endpoint, id);
    return json_pack("{s:s, s:s, s:s?, s:s}", "switch", switch_name(off->kind), "account",
        off->account, "endpoint", off->endpoint ? id : NULL, "reason", off->reason);
}

static json_t *object_view(const struct accounts_object *object)
{
    static json_t *(*const views[ACCOUNTS_KINDS])(const struct accounts_object *object) = {
        [ACCOUNTS_KIND_PARTNER] = partner_view,
        [ACCOUNTS_KIND_ACCOUNT] = account_view,
        [ACCOUNTS_KIND_ENDPOINT] = endpoint_view,
        [ACCOUNTS_KIND_CREDENTIAL] = credential_view,
        [ACCOUNTS_KIND_GRANT] = grant_view,
        [ACCOUNTS_KIND_SWITCH] = switch_view};
    json_t *view = views[object->kind](object);
    if (!view || json_object_set_new(view, "kind", json_string(accounts_kind_name(object->kind))) ||
        json_object_set_new(view, "version", json_integer(object->version)) ||
        json_object_set_new(view, "created_us", json_integer(object->created_us)) ||
        json_object_set_new(view, "removed", json_boolean(object->removed))) {
        json_decref(view);
        return NULL;
    }
    return view;
}

/* NULL when there is no memory: an object that is left out would never be sent again. */
static json_t *page_view(const struct admin *admin, const struct accounts_page *page, bool restart)
{
    json_t *changes = json_array();
    for (size_t i = 0; i < page->count; i++) {
        if (json_array_append_new(changes, object_view(&page->objects[i]))) {
            json_decref(changes);
            return NULL;
        }
    }
    return json_pack("{s:s, s:I, s:b, s:b, s:o}", "installation", admin->options.installation.id,
        "version", (json_int_t)page->version, "more", (int)page->more, "restart", (int)restart,
        "changes", changes);
}

static void on_page(struct request *base, void *receiver)
{
    struct accounts_replication *replication =
        CONTAINER_OF(base, struct accounts_replication, base);
    struct admin_feed *feed = CONTAINER_OF(replication, struct admin_feed, replication);
    bool restart = replication->base.result == ERR_NOT_FOUND;
    if (replication->base.result == OK || restart)
        admin_answer_json(feed->exchange, 200, page_view(feed->admin, &replication->page, restart));
    else
        http_answer_problem(feed->exchange, replication->base.result, replication->detail, NULL);
    accounts_page_done(&replication->page);
    free(feed);
}

static void submit(struct admin_feed *feed)
{
    feed->replication.base.kind = REPLICATION_READ;
    feed->replication.base.reply_to = &feed->admin->mailbox;
    feed->replication.base.on_done = on_page;
    accounts_replicate(feed->admin->options.accounts, &feed->replication);
}

void admin_changes_tick(struct admin *admin)
{
    int64_t now_us = clock_mono_us(), version = accounts_version(admin->options.accounts);
    list_for_each_safe (node, following, &admin->feeds) {
        struct admin_feed *feed = CONTAINER_OF(node, struct admin_feed, in_waiting);
        if (feed->replication.after == version && now_us < feed->until_mono_us && !admin->draining)
            continue;
        list_remove(node);
        admin->feeds_count--;
        submit(feed);
    }
}

void admin_changes_end(struct admin *admin)
{
    list_for_each_safe (node, following, &admin->feeds) {
        struct admin_feed *feed = CONTAINER_OF(node, struct admin_feed, in_waiting);
        http_answer_problem(feed->exchange, ERR_SHUTTING_DOWN, ADMIN_ASK_LATER, NULL);
        free(feed);
    }
    list_init(&admin->feeds);
}

/* A number from 0 to `max`; false after a 422. */
static bool take_number(struct http_exchange *exchange, const struct admin_parameter *parameter,
    int64_t max, int64_t *ret_number)
{
    char *end;
    if (!parameter->given)
        return true;
    errno = 0;
    long long number = strtoll(parameter->value, &end, 10);
    if (errno || *end || parameter->value[0] < '0' || parameter->value[0] > '9' || number > max) {
        char rule[64];
        snprintf(rule, sizeof rule, "must be a number from 0 to %lld", (long long)max);
        admin_refuse_member(exchange, parameter->name, rule);
        return false;
    }
    *ret_number = number;
    return true;
}

void admin_get_changes(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct admin_parameter parameters[] = {{.name = "after"}, {.name = "wait"}};
    int64_t after = 0, wait_s = 0;
    if (!admin_authenticate(admin, exchange) || admin_refuse_as_follower(admin, exchange) ||
        !admin_take_parameters(exchange, parameters, ARRAY_LENGTH(parameters)) ||
        !take_number(exchange, &parameters[0], INT64_MAX, &after) ||
        !take_number(exchange, &parameters[1], WAIT_S_MAX, &wait_s))
        return;
    http_set_caller(exchange, "follower"); /* large answers take nothing from an operator's room */
    struct admin_feed *feed;
    MEMORY_NEW(feed);
    feed->admin = admin;
    feed->exchange = exchange;
    feed->replication.after = after;
    feed->until_mono_us = clock_mono_us() + wait_s * US_PER_SECOND;
    list_init(&feed->in_waiting);
    if (after != accounts_version(admin->options.accounts) || wait_s == 0 || admin->draining ||
        admin->feeds_count >= WAITING_MAX) {
        submit(feed);
        return;
    }
    list_add_tail(&admin->feeds, &feed->in_waiting);
    admin->feeds_count++;
}

void admin_get_installation(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct admin_installation *installation = &admin->options.installation;
    if (!admin_authenticate(admin, exchange) || admin_refuse_as_follower(admin, exchange))
        return;
    char seed[2 * HASH_SEED_BYTES + 1], key[2 * sizeof installation->receipt_key + 1];
    hex_encode(slice_of(installation->seed.bytes, HASH_SEED_BYTES), seed);
    hex_encode(slice_of(installation->receipt_key, sizeof installation->receipt_key), key);
    admin_answer_json(exchange, 200,
        json_pack("{s:s, s:s, s:i, s:i, s:s}", "id", installation->id, "seed", seed, "partitions",
            (int)installation->partitions, "shards", (int)admin->options.shards, "receipt_key",
            key));
}
