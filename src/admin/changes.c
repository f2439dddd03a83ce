/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/v1/changes?after=V&wait=S: what has changed in the accounts behind version V, for a
 * gateway that follows this one. An answer is a page (accounts/replication.h): `version`, up to
 * which it reaches, and `more`. Without anything new it waits for it, S seconds at most. `restart`
 * says that V lies beyond this gateway's last change: it was set back to a backup, and has to be
 * followed from 0 on.
 *
 * It holds what a follower needs to know partners by: their secrets and the hashes of their keys.
 * Secrets of endpoints are left out: a gateway that does not deliver signs nothing.
 *
 * Questions that wait stand in a ring and are looked at with every tick of the loop, about every
 * 100 ms.
 */
#include "admin/admin_internal.h"

#include "accounts/replication.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

#define WAIT_S_MAX 30
#define WAITING_MAX 64 /* at the same time; beyond, an answer comes at once */

struct admin_feed {
    struct accounts_replication replication;
    struct admin *admin;
    struct http_exchange *exchange;
    struct list in_waiting;
    int64_t until_mono_us;
};

/* Objects. What was removed is its id. */

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
    return json_pack("{s:s, s:b, s:s, s:o}", "id", partner->id, "enabled", (int)partner->enabled,
        "key_pointer", partner->key_pointer, "secrets", secrets);
}

static json_t *account_view(const struct accounts_object *object)
{
    return json_pack(
        "{s:s, s:b}", "id", object->account.id, "enabled", (int)object->account.enabled);
}

static json_t *endpoint_view(const struct accounts_object *object)
{
    const struct endpoint *endpoint = object->endpoint;
    char id[ENDPOINT_ID_TEXT_BYTES];
    json_t *types = json_array();
    endpoint_id_format(endpoint->id, id);
    for (unsigned i = 0; i < endpoint->types.count; i++)
        json_array_append_new(types, json_string(endpoint->types.patterns[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o}", "id", id, "account",
        endpoint->account, "name", endpoint->name, "url", endpoint->url, "enabled",
        (int)endpoint->enabled, "idempotent", (int)endpoint->idempotent, "final_4xx",
        (int)endpoint->final_4xx, "types", types);
}

static json_t *credential_view(const struct accounts_object *object)
{
    char sha256[2 * SHA256_BYTES + 1];
    hex_encode(slice_of(object->credential.sha256, SHA256_BYTES), sha256);
    return json_pack("{s:s, s:s}", "sha256", sha256, "partner", object->credential.partner);
}

static json_t *grant_view(const struct accounts_object *object)
{
    return json_pack(
        "{s:s, s:s}", "partner", object->grant.partner, "account", object->grant.account);
}

static json_t *object_view(const struct accounts_object *object)
{
    static json_t *(*const views[ACCOUNTS_KINDS])(const struct accounts_object *object) = {
        [ACCOUNTS_KIND_PARTNER] = partner_view,
        [ACCOUNTS_KIND_ACCOUNT] = account_view,
        [ACCOUNTS_KIND_ENDPOINT] = endpoint_view,
        [ACCOUNTS_KIND_CREDENTIAL] = credential_view,
        [ACCOUNTS_KIND_GRANT] = grant_view};
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

/* NULL when there is no memory: an object that is left out would never come again. */
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
        http_answer_problem(feed->exchange, ERR_SHUTTING_DOWN, "Ask again later.", NULL);
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
        admin_refuse_member(exchange, parameter->name, "must be a number that is not too large");
        return false;
    }
    *ret_number = number;
    return true;
}

void admin_get_changes(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct admin_parameter parameters[] = {{.name = "after"}, {.name = "wait"}, {0}};
    int64_t after = 0, wait_s = 0;
    if (!admin_authenticate(admin, exchange) || admin_refuse_as_follower(admin, exchange, "ask") ||
        !admin_take_parameters(exchange, parameters) ||
        !take_number(exchange, &parameters[0], INT64_MAX, &after) ||
        !take_number(exchange, &parameters[1], WAIT_S_MAX, &wait_s))
        return;
    struct admin_feed *feed = calloc(1, sizeof *feed);
    if (!feed) {
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
        return;
    }
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
