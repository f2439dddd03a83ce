/* SPDX-License-Identifier: Apache-2.0 */
/* The admin thread: its routes, its start and its stop. */
#include "admin/admin_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define DRAIN_US (2 * US_PER_SECOND)
#define CONNECTIONS_MAX 256

/* Headers that a request may have only once. */
static const struct slice single_headers[] = {
    SLICE_LITERAL("authorization"), SLICE_LITERAL("content-type"), {0}};

/* Strangers are answered before memory is used for their bodies. */
#define API(method, path, handle)                             \
    {                                                         \
        method, "/api/v1/" path, handle, .admit = admin_admit \
    }

static const struct http_route routes[] = {
    {"GET", "/livez", admin_get_livez},
    {"GET", "/readyz", admin_get_readyz},
    {"GET", "/metrics", admin_get_metrics},
    {"GET", "/openapi.json", admin_get_openapi},
    API("GET", "status", admin_get_status),
    API("GET", "backlog", admin_get_backlog),
    API("GET", "installation", admin_get_installation),
    API("GET", "changes", admin_get_changes),
    API("GET", "partners", admin_list_partners),
    API("POST", "partners", admin_add_partner),
    API("GET", "partners/{p}", admin_get_partner),
    API("PATCH", "partners/{p}", admin_change_partner),
    API("GET", "partners/{p}/keys", admin_list_keys),
    API("POST", "partners/{p}/keys", admin_add_key),
    API("PATCH", "partners/{p}/keys/{k}", admin_change_key),
    API("DELETE", "partners/{p}/keys/{k}", admin_revoke_key),
    API("GET", "partners/{p}/rejections", admin_list_rejections),
    API("GET", "partners/{p}/secrets", admin_list_partner_secrets),
    API("POST", "partners/{p}/secrets", admin_add_partner_secret),
    API("DELETE", "partners/{p}/secrets/{s}", admin_remove_partner_secret),
    API("GET", "partners/{p}/accounts", admin_list_grants),
    API("POST", "partners/{p}/accounts", admin_grant_account),
    API("DELETE", "partners/{p}/accounts/{a}", admin_withdraw_grant),
    API("GET", "accounts", admin_list_accounts),
    API("POST", "accounts", admin_add_account),
    API("GET", "accounts/{a}/endpoints", admin_list_endpoints),
    API("POST", "accounts/{a}/endpoints", admin_add_endpoint),
    API("GET", "accounts/{a}/endpoints/{e}", admin_get_endpoint),
    API("PATCH", "accounts/{a}/endpoints/{e}", admin_change_endpoint),
    API("DELETE", "accounts/{a}/endpoints/{e}", admin_remove_endpoint),
    API("GET", "accounts/{a}/endpoints/{e}/secrets", admin_list_endpoint_secrets),
    API("POST", "accounts/{a}/endpoints/{e}/secrets", admin_add_endpoint_secret),
    API("DELETE", "accounts/{a}/endpoints/{e}/secrets/{s}", admin_remove_endpoint_secret),
    API("POST", "accounts/{a}/endpoints/{e}/test", admin_test_endpoint),
    API("GET", "switches", admin_list_switches),
    API("POST", "switches", admin_set_switch),
    API("GET", "events", admin_list_events),
    API("GET", "events/{id}", admin_get_event),
    API("GET", "deliveries", admin_list_deliveries),
    API("GET", "deliveries/{id}", admin_get_delivery),
    API("POST", "deliveries/{id}/resolve", admin_resolve_delivery),
    API("POST", "deliveries/{id}/retry", admin_retry_delivery),
    API("POST", "deliveries/{id}/discard", admin_discard_delivery),
    API("GET", "replays", admin_list_replays),
    API("POST", "replays", admin_create_replay),
    API("GET", "replays/{id}", admin_get_replay),
    API("PATCH", "replays/{id}", admin_change_replay),
    API("GET", "conflicts", admin_list_conflicts),
    API("GET", "poison", admin_list_poison),
    API("GET", "audit", admin_get_audit),
    API("GET", "operator-events", admin_list_operator_events),
    {NULL, NULL, NULL},
};

static void on_tick(void *context)
{
    struct admin *admin = context;
    admin_changes_tick(admin);
    lag_tick(admin);
    if (!admin->draining)
        return;
    if (http_server_is_idle(admin->server) || clock_mono_us() > admin->drain_until_mono_us)
        http_server_stop(admin->server);
}

static void on_stop(struct mail *mail, void *receiver)
{
    struct admin *admin = receiver;
    free(mail);
    admin->draining = true;
    admin->drain_until_mono_us = clock_mono_us() + DRAIN_US;
    http_server_drain(admin->server);
}

/* New tokens on their way to the admin thread. */
struct tokens_mail {
    struct mail mail;
    char token[ADMIN_TOKEN_BYTES_MAX + 1], readonly_token[ADMIN_TOKEN_BYTES_MAX + 1];
};

static void copy_token(char ret_token[ADMIN_TOKEN_BYTES_MAX + 1], struct slice token)
{
    snprintf(ret_token, ADMIN_TOKEN_BYTES_MAX + 1, "%.*s", SLICE_ARGS(token));
}

static void on_tokens(struct mail *mail, void *receiver)
{
    struct tokens_mail *tokens = CONTAINER_OF(mail, struct tokens_mail, mail);
    struct admin *admin = receiver;
    memcpy(admin->token, tokens->token, sizeof admin->token);
    memcpy(admin->readonly_token, tokens->readonly_token, sizeof admin->readonly_token);
    free(tokens);
}

void admin_set_tokens(struct admin *admin, struct slice token, struct slice readonly_token)
{
    struct tokens_mail *tokens;
    MEMORY_NEW(tokens);
    tokens->mail.on_receive = on_tokens;
    copy_token(tokens->token, token);
    copy_token(tokens->readonly_token, readonly_token);
    mailbox_post(&admin->mailbox, &tokens->mail);
}

static void run(void *context)
{
    http_server_run(((struct admin *)context)->server);
}

enum err admin_new(const struct admin_options *options, struct admin **ret_admin)
{
    struct admin *admin;
    MEMORY_NEW(admin);
    admin->options = *options;
    copy_token(admin->token, options->token);
    copy_token(admin->readonly_token, options->readonly_token);
    for (unsigned i = 0; i < options->hosts_count; i++)
        admin->hosts[i] = memory_copy_string(options->hosts[i]);
    admin->started_mono_us = clock_mono_us();
    list_init(&admin->feeds);
    lag_init(&admin->lag);
    admin->mailbox.event_fd = -1;
    enum err failed = http_server_new(
        &(struct http_options){
            .listen_fd = options->listen_fd,
            .tls_listen_fd = options->tls_listen_fd,
            .tls = options->tls,
            .routes = routes,
            .single = single_headers,
            .context = admin,
            .mailbox = mailbox_init(&admin->mailbox, admin) == OK ? &admin->mailbox : NULL,
            .on_tick = on_tick,
            .body_bytes_max = EVENT_BYTES_MAX,
            .connections_max =
                options->connections_max && options->connections_max < CONNECTIONS_MAX
                    ? options->connections_max
                    : CONNECTIONS_MAX,
            .closes_idle = true, /* so that operators can always connect */
            .knows_callers = true,
        },
        &admin->server);
    if (!failed && admin->mailbox.event_fd < 0)
        failed = ERR_SYSTEM;
    if (failed) {
        admin_free(admin);
        return failed;
    }
    *ret_admin = admin;
    return OK;
}

enum err admin_start(struct admin *admin)
{
    return thread_start(&admin->thread, "admin", run, admin);
}

void admin_set_ready(struct admin *admin, bool ready)
{
    atomic_store(&admin->ready, ready);
}

void admin_stop(struct admin *admin)
{
    struct mail *mail;
    MEMORY_NEW(mail);
    mail->on_receive = on_stop;
    mailbox_post(&admin->mailbox, mail);
}

void admin_join(struct admin *admin)
{
    thread_join(&admin->thread);
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    /* Late answers are made without the directory, the journals and the shards, which are freed. */
    admin->has_ended = true;
    admin->options.accounts = NULL;
    admin->options.journals = NULL;
    admin->options.look_at_queues = NULL;
    if (admin->mailbox.event_fd >= 0)
        mailbox_work(&admin->mailbox);
    admin_changes_end(admin);
    http_server_free(admin->server);
    mailbox_done(&admin->mailbox);
    for (unsigned i = 0; i < ADMIN_HOSTS_MAX; i++)
        free(admin->hosts[i]);
    free(admin);
}
