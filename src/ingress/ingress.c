/* SPDX-License-Identifier: Apache-2.0 */
/* The ingress thread: its routes, its start and its stop. */
#include "ingress/ingress_internal.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "ingress/intake.h"
#include "queue/broker_queue.h"
#include "runtime/log.h"

#include <stdio.h>
#include <stdlib.h>

struct stop_order {
    struct mail mail;
    int64_t drain_us;
};

/* Headers that must not occur twice: they describe the request or identify the sender. */
static const struct slice single_headers[] = {SLICE_LITERAL("authorization"),
    SLICE_LITERAL("content-type"), SLICE_LITERAL("content-encoding"),
    SLICE_LITERAL("idempotency-key"), SLICE_LITERAL("webhook-id"),
    SLICE_LITERAL("webhook-timestamp"), SLICE_LITERAL("webhook-signature"), {0}};

static const struct http_route routes[] = {
    {"POST", "/v1/events", ingress_post_event, .admit = ingress_admit_event},
    {"POST", "/v1/events/batch", ingress_post_batch, .body_bytes_max = BATCH_BYTES_MAX,
        .admit = ingress_admit_batch},
    {"POST", "/v1/partners/{partner}/events", ingress_post_signed,
        .challenge = "Standard-Webhooks"},
    {"GET", "/v1/events", ingress_find_events, .admit = ingress_admit_get},
    {"GET", "/v1/events/{id}", ingress_get_event, .admit = ingress_admit_get},
    {"GET", "/openapi.json", ingress_get_openapi, .admit = ingress_admit_get},
    {NULL},
};

static void stop_if_drained(struct ingress *ingress, int64_t now_mono_us)
{
    bool idle = http_server_is_idle(ingress->server) && list_is_empty(&ingress->waiting) &&
                (!ingress->intake || intake_is_idle(ingress->intake));
    if (!idle && now_mono_us < ingress->drain_until_mono_us)
        return;
    if (!idle)
        log_warn("drain timed out: open partner connections are closed");
    http_server_stop(ingress->server);
}

static void on_tick(void *context)
{
    struct ingress *ingress = context;
    int64_t now_mono_us = clock_mono_us();
    queue_tick(ingress->queue, now_mono_us);
    if (ingress->intake)
        intake_tick(ingress->intake, now_mono_us);
    awaited_expire(ingress, now_mono_us);
    ingress_watch_overload(ingress, now_mono_us);
    if (ingress->draining)
        stop_if_drained(ingress, now_mono_us);
}

static void on_stop(struct mail *mail, void *receiver)
{
    struct stop_order *order = CONTAINER_OF(mail, struct stop_order, mail);
    struct ingress *ingress = receiver;
    ingress->draining = true;
    ingress->drain_until_mono_us = clock_mono_us() + order->drain_us;
    free(order);
    http_server_drain(ingress->server);
    if (ingress->intake)
        intake_drain(ingress->intake);
}

struct rules_order {
    struct mail mail;
    struct class_rules rules;
};

static void on_rules(struct mail *mail, void *receiver)
{
    struct rules_order *order = CONTAINER_OF(mail, struct rules_order, mail);
    ((struct ingress *)receiver)->class_rules = order->rules;
    free(order);
}

/* The loop has ended: ends the parts of the thread. */
static void end(struct ingress *ingress)
{
    ingress->ended = true;
    if (ingress->intake)
        intake_stop(ingress->intake);
    queue_stop(ingress->queue);
}

static void run(void *context)
{
    struct ingress *ingress = context;
    http_server_run(ingress->server);
    ingress_end_overload(ingress);
    end(ingress);
}

static enum err make_broker_queue(struct ingress *ingress)
{
    const struct ingress_options *options = &ingress->options;
    ingress_host_init(&ingress->publish_host, ingress->server);
    if (options->number == 0 && options->intake_partner && *options->intake_partner)
        ingress->intake = intake_new(ingress);
    return broker_queue_new(
        &(struct broker_queue_options){
            .breaker = {.host = &ingress->publish_host.host,
                .connector = options->connector,
                .broker = options->broker,
                .reply_to = &ingress->mailbox,
                .status = options->broker_status,
                .number = options->number,
                .window = options->publish_window,
                .confirm_timeout_us = options->confirm_timeout_us,
                .lag = options->lag,
                .lag_us_max = options->lag_us_max},
            .journals = options->journals,
            .budgets = options->budgets,
            .known = options->recent_keys,
            .shards = options->shards,
            .threads = options->threads ? options->threads : 1,
            .outbox = options->outbox,
            .operator_events = options->operator_events,
        },
        &ingress->queue);
}

/* The last step of ingress_new: with a connector, it submits a request. */
static enum err make_queue(struct ingress *ingress)
{
    if (ingress->options.connector)
        return make_broker_queue(ingress);
    ingress->queue = direct_queue_new(ingress->options.journals, &ingress->mailbox);
    return OK;
}

enum err ingress_new(const struct ingress_options *options, struct ingress **ret_ingress)
{
    struct ingress *ingress = memory_new(sizeof *ingress);
    ingress->options = *options;
    ingress->class_rules = *options->class_rules;
    ingress->random_used = RANDOM_POOL_BYTES;
    list_init(&ingress->waiting);
    ingress->mailbox.event_fd = -1;
    enum err failed = http_server_new(
        &(struct http_options){
            .listen_fd = options->listen_fd,
            .tls_listen_fd = options->tls_listen_fd,
            .tls = options->tls,
            .routes = routes,
            .single = single_headers,
            .context = ingress,
            .mailbox = mailbox_init(&ingress->mailbox, ingress) == OK ? &ingress->mailbox : NULL,
            .on_tick = on_tick,
            .body_bytes_max = EVENT_BYTES_MAX,
            .connections_max = options->connections_max,
            .descriptors_end = options->descriptors_end,
            .proxies = options->proxies,
            .proxies_count = options->proxies_count,
            .proxy_protocol = options->proxy_protocol,
            .addresses = options->addresses,
            .refusals = options->refusals,
            .on_refused = options->rejections ? ingress_on_refused : NULL,
            .knows_callers = true,
            .is_measured = true,
        },
        &ingress->server);
    if (!failed && ingress->mailbox.event_fd < 0)
        failed = ERR_SYSTEM;
    if (!failed)
        failed = hmac_new(options->receipt_key, &ingress->receipt_mac);
    if (!failed)
        failed = make_queue(ingress);
    if (failed) {
        ingress_free(ingress);
        return failed;
    }
    *ret_ingress = ingress;
    return OK;
}

enum err ingress_start(struct ingress *ingress)
{
    char name[THREAD_NAME_BYTES];
    snprintf(name, sizeof name, "ingress-%u", ingress->options.number % 1000);
    return thread_start(&ingress->thread, name, run, ingress);
}

void ingress_stop(struct ingress *ingress, int64_t drain_us)
{
    struct stop_order *order = memory_new_raw(sizeof *order);
    *order = (struct stop_order){.mail.on_receive = on_stop, .drain_us = drain_us};
    mailbox_post(&ingress->mailbox, &order->mail);
}

void ingress_set_rules(struct ingress *ingress, const struct class_rules *rules)
{
    struct rules_order *order = memory_new_raw(sizeof *order);
    *order = (struct rules_order){.mail.on_receive = on_rules, .rules = *rules};
    mailbox_post(&ingress->mailbox, &order->mail);
}

void ingress_join(struct ingress *ingress)
{
    thread_join(&ingress->thread);
}

void ingress_free(struct ingress *ingress)
{
    if (!ingress)
        return;
    end(ingress);
    if (ingress->mailbox.event_fd >= 0)
        mailbox_work(&ingress->mailbox);
    queue_free(ingress->queue);
    intake_free(ingress->intake);
    ingress_host_done(&ingress->publish_host);
    http_server_free(ingress->server);
    mailbox_done(&ingress->mailbox);
    hmac_free(ingress->receipt_mac);
    free(ingress);
}
