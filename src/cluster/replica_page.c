/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/replica_page.h"

#include "model/name.h"
#include "model/refusal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes a member that is a text and fits with its NUL. */
static bool take_text(const json_t *object, const char *name, char *ret_text, size_t size)
{
    const json_t *value = json_object_get(object, name);
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len >= size || strlen(json_string_value(value)) != len)
        return false;
    memcpy(ret_text, json_string_value(value), len + 1);
    return true;
}

static bool take_name(const json_t *object, const char *name, char ret_name[NAME_BYTES_MAX + 1])
{
    return take_text(object, name, ret_name, NAME_BYTES_MAX + 1) &&
           name_is_valid(slice_from_string(ret_name));
}

static bool take_flag(const json_t *object, const char *name, bool *ret_flag)
{
    const json_t *value = json_object_get(object, name);
    *ret_flag = json_is_true(value);
    return json_is_boolean(value);
}

static bool take_number(const json_t *object, const char *name, int64_t *ret_number)
{
    const json_t *value = json_object_get(object, name);
    *ret_number = json_integer_value(value);
    return json_is_integer(value) && *ret_number >= 0;
}

static bool take_partner_secrets(const json_t *array, struct partner *partner)
{
    size_t i;
    json_t *item;
    if (!json_is_array(array) || json_array_size(array) > PARTNER_SECRETS_MAX)
        return false;
    json_array_foreach(array, i, item)
    {
        struct partner_secret *secret = &partner->secrets[partner->secrets_count++];
        char id[PARTNER_SECRET_ID_TEXT_BYTES], text[SECRET_TEXT_BYTES];
        if (!take_text(item, "id", id, sizeof id) ||
            !partner_secret_id_parse(slice_from_string(id), &secret->id) ||
            !take_text(item, "secret", text, sizeof text) ||
            !secret_parse(slice_from_string(text), &secret->secret) ||
            !take_number(item, "created_us", &secret->created_us))
            return false;
    }
    return true;
}

/* A leader of an earlier version does not send them. */
static bool take_rules(const json_t *object, struct partner_rules *rules)
{
    const json_t *value = json_object_get(object, "rules");
    struct refusal refusal;
    if (!value)
        return true;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    bool good = text && partner_rules_change(rules, slice_from_string(text), &refusal) == OK;
    free(text);
    return good;
}

static bool take_partner(const json_t *json, struct accounts_object *object)
{
    struct partner *partner = object->partner;
    partner->version = object->version;
    return take_name(json, "id", partner->id) && take_flag(json, "enabled", &partner->enabled) &&
           take_text(json, "key_pointer", partner->key_pointer, sizeof partner->key_pointer) &&
           partner_key_pointer_is_valid(slice_from_string(partner->key_pointer)) &&
           take_rules(json, &partner->rules) &&
           take_partner_secrets(json_object_get(json, "secrets"), partner);
}

static bool take_account(const json_t *json, struct accounts_object *object)
{
    object->account.version = object->version;
    return take_name(json, "id", object->account.id) &&
           take_flag(json, "enabled", &object->account.enabled);
}

static bool take_types(const json_t *array, struct type_list *types)
{
    size_t i;
    json_t *item;
    if (!json_is_array(array))
        return false;
    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item) ||
            !type_list_add(types, slice_of(json_string_value(item), json_string_length(item))))
            return false;
    }
    return true;
}

/* A leader of an earlier version does not send it. */
static bool take_disabling(const json_t *json, struct endpoint *endpoint)
{
    return !json_object_get(json, "disabled_us") ||
           (take_number(json, "disabled_us", &endpoint->disabled_us) &&
               take_text(json, "disabled_reason", endpoint->disabled_reason,
                   sizeof endpoint->disabled_reason));
}

static bool take_endpoint(const json_t *json, struct accounts_object *object)
{
    struct endpoint *endpoint = object->endpoint;
    char id[ENDPOINT_ID_TEXT_BYTES];
    endpoint->version = object->version;
    return take_text(json, "id", id, sizeof id) &&
           endpoint_id_parse(slice_from_string(id), &endpoint->id) &&
           take_name(json, "account", endpoint->account) &&
           take_name(json, "name", endpoint->name) &&
           take_text(json, "url", endpoint->url, sizeof endpoint->url) &&
           take_flag(json, "enabled", &endpoint->enabled) &&
           take_flag(json, "idempotent", &endpoint->idempotent) &&
           take_flag(json, "final_4xx", &endpoint->final_4xx) &&
           take_types(json_object_get(json, "types"), &endpoint->types) &&
           take_disabling(json, endpoint);
}

static bool take_accounts(const json_t *array, struct key_scope *scope)
{
    size_t i;
    json_t *item;
    if (!json_is_array(array))
        return false;
    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item) || !key_scope_add_account(scope, slice_of(json_string_value(item),
                                                                       json_string_length(item))))
            return false;
    }
    return true;
}

/* A leader of an earlier version does not send it. */
static bool take_limits(const json_t *json, struct credential *credential)
{
    return !json_object_get(json, "expires_us") ||
           (take_number(json, "expires_us", &credential->expires_us) &&
               take_text(json, "label", credential->label, sizeof credential->label) &&
               credential_label_is_valid(slice_from_string(credential->label)) &&
               take_accounts(json_object_get(json, "accounts"), &credential->scope) &&
               take_types(json_object_get(json, "types"), &credential->scope.types));
}

static bool take_credential(const json_t *json, struct accounts_object *object)
{
    struct credential *credential = object->credential;
    char sha256[2 * SHA256_BYTES + 1];
    credential->created_us = object->created_us;
    return take_text(json, "sha256", sha256, sizeof sha256) &&
           strlen(sha256) == sizeof sha256 - 1 &&
           hex_decode(slice_from_string(sha256), credential->sha256) &&
           take_name(json, "partner", credential->partner) && take_limits(json, credential);
}

static bool take_grant(const json_t *json, struct accounts_object *object)
{
    return take_name(json, "partner", object->grant.partner) &&
           take_name(json, "account", object->grant.account);
}

static bool take_switch(const json_t *json, struct accounts_object *object)
{
    struct operator_switch *off = object->off;
    char name[16], id[ENDPOINT_ID_TEXT_BYTES];
    off->since_us = object->created_us;
    off->version = object->version;
    return take_text(json, "switch", name, sizeof name) &&
           switch_find(slice_from_string(name), &off->kind) &&
           take_text(json, "account", off->account, sizeof off->account) &&
           (!off->account[0] || name_is_valid(slice_from_string(off->account))) &&
           (json_is_null(json_object_get(json, "endpoint")) ||
               (take_text(json, "endpoint", id, sizeof id) &&
                   endpoint_id_parse(slice_from_string(id), &off->endpoint))) &&
           take_text(json, "reason", off->reason, sizeof off->reason) &&
           switch_reason_is_valid(slice_from_string(off->reason));
}

static bool find_kind(const json_t *json, enum accounts_kind *ret_kind)
{
    const char *name = json_string_value(json_object_get(json, "kind"));
    for (unsigned kind = 0; name && kind < ACCOUNTS_KINDS; kind++) {
        if (strcmp(accounts_kind_name((enum accounts_kind)kind), name) == 0) {
            *ret_kind = (enum accounts_kind)kind;
            return true;
        }
    }
    return false;
}

static bool take_object(const json_t *json, struct accounts_page *page, char *ret_detail)
{
    static bool (*const takes[ACCOUNTS_KINDS])(const json_t *json,
        struct accounts_object *object) = {[ACCOUNTS_KIND_PARTNER] = take_partner,
        [ACCOUNTS_KIND_ACCOUNT] = take_account,
        [ACCOUNTS_KIND_ENDPOINT] = take_endpoint,
        [ACCOUNTS_KIND_CREDENTIAL] = take_credential,
        [ACCOUNTS_KIND_GRANT] = take_grant,
        [ACCOUNTS_KIND_SWITCH] = take_switch};
    enum accounts_kind kind;
    if (!find_kind(json, &kind)) {
        snprintf(ret_detail, REPLICA_PAGE_DETAIL_BYTES,
            "an object has a kind that this version does not know: upgrade this gateway");
        return false;
    }
    struct accounts_object *object = accounts_page_add(page, kind);
    if (!object) {
        snprintf(ret_detail, REPLICA_PAGE_DETAIL_BYTES, "out of memory");
        return false;
    }
    if (take_number(json, "version", &object->version) &&
        take_number(json, "created_us", &object->created_us) &&
        take_flag(json, "removed", &object->removed) && takes[kind](json, object))
        return true;
    snprintf(ret_detail, REPLICA_PAGE_DETAIL_BYTES,
        "an object of kind %s has a missing or wrong member", accounts_kind_name(kind));
    return false;
}

static bool take_page(const json_t *root, struct replica_answer *answer, char *ret_detail)
{
    const json_t *changes = json_object_get(root, "changes");
    if (!take_number(root, "version", &answer->page.version) ||
        !take_flag(root, "more", &answer->page.more) ||
        !take_flag(root, "restart", &answer->restart) || !json_is_array(changes) ||
        !take_text(root, "installation", answer->installation, sizeof answer->installation)) {
        snprintf(ret_detail, REPLICA_PAGE_DETAIL_BYTES, "the answer is not a page of changes");
        return false;
    }
    size_t i;
    json_t *item;
    json_array_foreach(
        changes, i, item) if (!take_object(item, &answer->page, ret_detail)) return false;
    return true;
}

bool replica_page_parse(struct slice json, struct replica_answer *ret_answer, char *ret_detail)
{
    *ret_answer = (struct replica_answer){0};
    json_t *root = json_loadb(json.data ? json.data : "", json.len, 0, NULL);
    bool good = take_page(root, ret_answer, ret_detail);
    json_decref(root);
    return good;
}
