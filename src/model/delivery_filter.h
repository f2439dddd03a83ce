/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which deliveries are meant: one filter for lists, dry runs and replays.
 *
 * A filter has members with stable names (delivery_filter_names). The same names and texts are
 * the parameters of the admin API, and the JSON in which a journal keeps the filter of a replay.
 * Members are combined with "and". A filter without members means every delivery.
 *
 * A delivery has two parts that are read apart: its row, and its event. Each part has a function of
 * its own, so that a reader can pass over a row without reading the event.
 */
#ifndef PENSTOCK_MODEL_DELIVERY_FILTER_H
#define PENSTOCK_MODEL_DELIVERY_FILTER_H

#include "base/buffer.h"
#include "model/attempt_cause.h"
#include "model/delivery_state.h"
#include "model/event.h"

/* All zeros: everything. Amounts are canonical (money.h). */
struct delivery_filter {
    /* of the event */
    char account[NAME_BYTES_MAX + 1]; /* empty: any */
    char partner[NAME_BYTES_MAX + 1]; /* empty: any */
    char
        type[EVENT_TYPE_BYTES_MAX + 1]; /* a type, or its beginning with `*` after it; empty: any */
    char key[EVENT_KEY_BYTES_MAX + 1];  /* empty: any */
    bool has_currency;
    char currency[CURRENCY_BYTES + 1]; /* empty: events without an amount */
    char amount[AMOUNT_TEXT_BYTES];    /* empty: any. It is compared by value */
    bool has_class;
    enum event_class class;
    int64_t since_us, until_us; /* of acceptance, wall time: from since to before until; 0: open */

    /* of the row */
    bool has_endpoint;
    uint64_t endpoint;            /* 0: unrouted */
    unsigned states;              /* bits, 1 << enum delivery_state; 0: all */
    enum park_reason park_reason; /* PARK_NONE: any */
    /* Of the last failed attempt; CAUSE_NONE: any. Neither function looks at it: the attempt is
     * read apart. */
    enum attempt_cause cause;
};

#define DELIVERY_STATES_IN_PROGRESS \
    (1u << DELIVERY_PENDING | 1u << DELIVERY_SENDING | 1u << DELIVERY_WAITING)

/* Bytes of a member's text, with its NUL. */
#define DELIVERY_FILTER_TEXT_BYTES (EVENT_KEY_BYTES_MAX + 1)

/* The names of the members, in the order of the JSON text. The last one is followed by NULL. */
extern const char *const delivery_filter_names[];

/*
 * Sets a member from its text. Returns false if there is no such member or the text is no value of
 * it; *ret_problem then says what it must be (static). Members:
 *
 *   account, partner, type, key, amount, class, cause
 *   endpoint      an id (ep_...), or "none" for unrouted deliveries
 *   currency      three letters, or "none" for events without an amount
 *   state         the name of a state, or "in_progress"; several with commas
 *   park_reason   the name of a reason
 *   since, until  RFC 3339
 */
bool delivery_filter_set(
    struct delivery_filter *filter, const char *name, struct slice text, const char **ret_problem);

/* To be called when all members are set. A park reason implies the state parked. Returns false if
 * members contradict each other; *ret_name is the member to correct, *ret_problem why. */
bool delivery_filter_finish(
    struct delivery_filter *filter, const char **ret_name, const char **ret_problem);

/* Writes the text of a member. Returns false if the member is not set. */
bool delivery_filter_get(const struct delivery_filter *filter, const char *name,
    char ret_text[DELIVERY_FILTER_TEXT_BYTES]);

/* Adds a JSON object with the members that are set; each value is a string. */
void delivery_filter_to_json(const struct delivery_filter *filter, struct buffer *into);
/* Reads what delivery_filter_to_json has written. ERR_INVALID: it is something else. */
enum err delivery_filter_from_json(
    struct slice json, struct delivery_filter *ret_filter) MUST_CHECK;

/* Whether the filter asks for something of the event. Otherwise the event need not be read. */
bool delivery_filter_asks_for_event(const struct delivery_filter *filter);
bool delivery_filter_matches_event(
    const struct delivery_filter *filter, const struct event_parts *parts);

/* What a filter looks at in a row. */
struct delivery_filter_row {
    uint64_t endpoint;
    enum delivery_state state;
    enum park_reason reason; /* of a parked one */
    bool was_delivered;      /* replayed by force: it counts as delivered as well */
};
bool delivery_filter_matches_row(
    const struct delivery_filter *filter, const struct delivery_filter_row *row);

#endif
