/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of events for other programs, on the topic exchange penstock.events with the routing key
 * <type>.<account>. Best effort, without confirms. A copy that a slow, blocked or absent broker
 * does not take at once is dropped and counted (penstock_taps_total). A tap cannot slow or fail an
 * event. It has its own connection.
 */
#ifndef PENSTOCK_BROKER_TAP_H
#define PENSTOCK_BROKER_TAP_H

#include "broker/connector.h"
#include "broker/host.h"
#include "model/event.h"

#define TAP_UNSENT_BYTES_MAX (1024 * 1024)

struct tap;

/* `on_lost` is called when the connection is lost; the owner may ask for another. May be NULL. */
struct tap *tap_new(
    struct broker_host *host, void (*on_lost)(void *context, const char *why), void *context);
void tap_free(struct tap *tap); /* takes NULL */
/* Owns the link, also on failure. */
enum err tap_open(struct tap *tap, struct broker_link *link) MUST_CHECK;
bool tap_is_open(const struct tap *tap);
void tap_publish(struct tap *tap, const struct event_parts *parts);
void tap_tick(struct tap *tap, int64_t now_mono_us);

#endif
