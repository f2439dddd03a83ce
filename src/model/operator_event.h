/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operator events: what an operator must know, once for each transition. An endpoint fails or is
 * back, a delivery is dead or parked, a level is exceeded, an operator has changed something.
 *
 * The part that notices the transition fills in a struct operator_event and posts it to a sink. The
 * sink (queue/operator_events.h) writes the line in the log, counts it, lists it, and makes it an
 * event of the account "penstock". The endpoints of that account get it like any other event.
 *
 * Posting never blocks. The sink is bounded: what it has no room for is dropped and counted.
 *
 * Nothing about the account "penstock" itself becomes an operator event: an operator's endpoint
 * that fails would cause more of them without end. The sink only logs it.
 *
 * Kinds are in journals, in URLs and in the programs of operators: a name never changes its
 * meaning. etc/doc/operator-events.md lists all kinds, and a test compares it with this table.
 */
#ifndef PENSTOCK_MODEL_OPERATOR_EVENT_H
#define PENSTOCK_MODEL_OPERATOR_EVENT_H

#include "base/buffer.h"
#include "base/limits.h"
#include "model/delivery_id.h"

/* The account that operator events belong to. It always exists, and no partner may post for it. The
 * partner of its events has the same name. */
#define OPERATOR_ACCOUNT "penstock"

/* symbol, kind, severity, what has happened */
#define OPERATOR_EVENT_TABLE(X)                                                                  \
    X(OPERATOR_ENDPOINT_FAILING, "endpoint.failing", SEVERITY_WARNING, "an endpoint is failing") \
    X(OPERATOR_ENDPOINT_RECOVERED, "endpoint.recovered", SEVERITY_INFO,                          \
        "an endpoint that failed works again")                                                   \
    X(OPERATOR_ENDPOINT_DISABLED, "endpoint.disabled", SEVERITY_ERROR,                           \
        "an endpoint is disabled: its events are parked")                                        \
    X(OPERATOR_ENDPOINT_ENABLED, "endpoint.enabled", SEVERITY_INFO,                              \
        "an endpoint that was disabled is enabled")                                              \
    X(OPERATOR_DELIVERY_DEAD, "delivery.dead", SEVERITY_ERROR, "deliveries are dead")            \
    X(OPERATOR_DELIVERY_PARKED, "delivery.parked", SEVERITY_WARNING, "deliveries are parked")    \
    X(OPERATOR_EVENT_CONFLICT, "event.conflict", SEVERITY_WARNING,                               \
        "an event has the key of an accepted event and a different amount or currency")          \
    X(OPERATOR_FRESHNESS_LATE, "freshness.late", SEVERITY_WARNING,                               \
        "events reach healthy endpoints too late")                                               \
    X(OPERATOR_FRESHNESS_WELL, "freshness.well", SEVERITY_INFO,                                  \
        "events reach healthy endpoints in time again")                                          \
    X(OPERATOR_BACKLOG_HIGH, "backlog.high", SEVERITY_WARNING, "too many deliveries wait")       \
    X(OPERATOR_BACKLOG_WELL, "backlog.well", SEVERITY_INFO, "the backlog is small again")        \
    X(OPERATOR_DISK_LOW, "disk.low", SEVERITY_ERROR, "a journal does not accept all events")     \
    X(OPERATOR_DISK_WELL, "disk.well", SEVERITY_INFO, "all journals accept all events again")    \
    X(OPERATOR_SWITCH_CHANGED, "switch.changed", SEVERITY_WARNING, "a switch was changed")       \
    X(OPERATOR_REPLAY_ENDED, "replay.ended", SEVERITY_INFO, "a replay has ended")

enum operator_event_kind {
#define X(symbol, kind, severity, what) symbol,
    OPERATOR_EVENT_TABLE(X)
#undef X
        OPERATOR_EVENT_KINDS
};

enum operator_severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITIES };

#define OPERATOR_EVENTS_LISTED_MAX 100 /* the last ones, in memory */
#define OPERATOR_ENDPOINT_BYTES 24     /* the text of an endpoint's id */
#define OPERATOR_CAUSE_BYTES 32        /* a code */
#define OPERATOR_DETAIL_BYTES 320

/* Texts end with NUL; empty: unknown, or not of this kind. */
struct operator_event {
    enum operator_event_kind kind;
    int64_t at_us; /* wall time; 0: the sink sets it */
    char account[NAME_BYTES_MAX + 1], partner[NAME_BYTES_MAX + 1];
    char endpoint[OPERATOR_ENDPOINT_BYTES]; /* its id */
    char endpoint_name[NAME_BYTES_MAX + 1]; /* the sink looks it up */
    char subject[NAME_BYTES_MAX + 1];       /* the switch, the replay, the level */
    char cause[OPERATOR_CAUSE_BYTES];       /* a code, such as those of model/attempt_cause.h */
    char detail[OPERATOR_DETAIL_BYTES];     /* for people; operator_event_set_detail */
    char delivery[DELIVERY_ID_TEXT_BYTES], event[EVENT_ID_TEXT_BYTES]; /* samples */
    char first_event[EVENT_ID_TEXT_BYTES]; /* of a conflict: the accepted event */
    unsigned percent;                      /* of the breaker's threshold; 0: not of this kind */
    int64_t count;  /* the number of deliveries or events; 0: not of this kind */
    bool is_logged; /* the part that posts it has written the line in the log */
};

/* Copies a text for people. Bytes that are not valid UTF-8, and control characters, become "?". */
void operator_event_set_detail(struct operator_event *event, const char *text);

const char *operator_event_kind_name(enum operator_event_kind kind);
enum operator_severity operator_event_severity(enum operator_event_kind kind);
const char *operator_severity_name(enum operator_severity severity);
const char *operator_event_what(enum operator_event_kind kind);

/* Adds the body of the event that the operator's endpoints get: a JSON object in the form of a
 * partner's event, with all that is known in `data`. */
void operator_event_print(const struct operator_event *event, struct buffer *json);
/* Adds the members of `data`, an object. */
void operator_event_print_data(const struct operator_event *event, struct buffer *json);

/* Where operator events go. `post` is NULL when nobody listens. Any thread; the event is copied. */
struct operator_event_sink {
    void (*post)(void *context, const struct operator_event *event);
    void *context;
};

/* Returns whether the account is the one of the operators. */
bool operator_event_is_account(struct slice account);
/* Returns whether the gateway itself has made the event of this partner and account. What a partner
 * has posted never is: it counts in the totals, whatever its account is called. */
bool operator_event_is_own(struct slice partner, struct slice account);

/* Posts the event, if anybody listens. */
void operator_event_post(
    const struct operator_event_sink *sink, const struct operator_event *event);

#endif
