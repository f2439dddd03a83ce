/* SPDX-License-Identifier: Apache-2.0 */
/* The publish breaker alone, between a fake broker and a test that publishes. Time is what the test
 * says. */
#ifndef PENSTOCK_TESTS_UNIT_QUEUE_BREAKER_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_QUEUE_BREAKER_FIXTURE_H

#include "fixture.h"

#include "broker/lag.h"
#include "queue/publish_breaker.h"
#include "runtime/metrics.h"

#define BREAKER_WINDOW 8

extern struct publish_breaker *breaker;
extern struct broker_status *breaker_status;
extern struct broker_lag *breaker_lag; /* NULL: the breaker does not look at it */
extern bool breaker_nothing_waits;
/* What was published, in order, and how it ended. */
extern struct publication publications[64];
extern enum publish_end publication_ends[64];
extern unsigned publications_count, publications_ended;

/* A breaker, a connected one, and one that looks at the lag as well. */
void breaker_begin(void);
void breaker_begin_connected(void);
void breaker_begin_with_lag(void);
void breaker_end(void);

void breaker_make(unsigned number); /* of the thread */
void breaker_connect(void);         /* answers the dial that is out */
void breaker_pass(int64_t us);      /* so much time passes, and a tick behind it */
bool is_closed(unsigned partition);
struct broker_link_status breaker_shown(void);

struct event_parts parts_of(unsigned partition); /* of a new event */
enum err publish(unsigned partition);
void on_publication_end(struct publication *publication, enum publish_end end);
/* Offers an event as a probe. Returns whether it was published as one. */
bool probe(unsigned partition);
void end_probe(enum publish_end end);

#endif
