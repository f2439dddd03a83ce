/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of events for whoever listens to the topic exchange penstock.events, with the routing key
 * <type>.<account>: best effort. No confirms, and what a slow, blocked or absent broker doesn't
 * take at once is dropped and counted (penstock_taps_total): a tap can neither slow nor fail an
 * event. On a connection of its own.
 */
#ifndef PENSTOCK_BROKER_TAP_H
#define PENSTOCK_BROKER_TAP_H

#include "broker/connector.h"
#include "broker/host.h"
#include "model/event.h"

#define TAP_UNSENT_BYTES_MAX (1024 * 1024)

struct tap;

/* `on_lost` may be NULL: the connection is gone, and its owner may ask for another. */
enum err tap_new(struct broker_host *host, void (*on_lost)(void *context, const char *why),
    void *context, struct tap **ret_tap) MUST_CHECK;
void tap_free(struct tap *tap); /* takes NULL */
enum err tap_open(
    struct tap *tap, struct broker_link *link) MUST_CHECK; /* takes the link, also on failure */
bool tap_is_open(const struct tap *tap);
void tap_publish(struct tap *tap, const struct event_parts *parts);
void tap_tick(struct tap *tap, int64_t now_mono_us);

#endif
