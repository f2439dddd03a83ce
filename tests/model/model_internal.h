/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the model share. */
#ifndef PENSTOCK_TESTS_MODEL_MODEL_INTERNAL_H
#define PENSTOCK_TESTS_MODEL_MODEL_INTERNAL_H

#include "model.h"

#include <sqlite3.h>

#define NAME_BYTES 32 /* "p<post>/<index>" */

/* model.c */
const struct model_rules *model_rules(void);
struct model_post *model_post(unsigned number);
struct model_post *model_first_of(
    uint32_t scope); /* the one that was accepted, as far as it is known; or NULL */
void model_name_post(const struct model_post *post, char ret_name[NAME_BYTES]);
void model_name(const struct model_delivery *delivery, char ret_name[NAME_BYTES]);
/* It is known now that it is the first of its key, or that it never happened. */
void model_decide_post(struct model_post *post, bool happened);
bool model_journal_is_in_doubt(void);
unsigned model_conflicts_answered(void);
int64_t model_journal_us(void); /* the journal's clock, by which things expire */
void model_looked(void);
void model_sending(
    void); /* the first request of this run is sent: what had been waiting is known */
void model_check_due(
    const struct model_delivery *row, const char *name); /* no later than a wait of its schedule */

/* model_operator_actions.c: a row of the journal's table of actions; and after all of them were
 * read. */
struct model_action_row {
    enum delivery_state from, to;
    uint64_t from_endpoint, to_endpoint;
};
void model_action_found(struct model_delivery *delivery, const struct model_action_row *row);
void model_actions_read(bool decides_doubts);
/* One of this kind may have happened that no look has found. */
bool model_action_is_open(
    const struct model_delivery *delivery, enum delivery_state from, enum delivery_state to);
void model_actions_crashed(void);
unsigned model_actions_in_flight(void);

/* model_ways.c: `row` is what the journal holds now. */
void model_check_way(
    struct model_delivery *delivery, const struct model_delivery *row, bool first_after_start);
bool model_may_be_final(
    const struct model_delivery *delivery); /* it is, or could be since the last look */
bool model_is_guarded(const struct model_delivery *delivery);

/* model_money.c */
model_money model_parse_amount(const char *text);
void model_format_amount(model_money amount, char ret_text[48]);
bool model_same_money(const struct model_post *a, const struct model_post *b);
void model_check_totals(sqlite3 *db);
void model_check_totals_are_written(sqlite3 *db); /* an orderly stop leaves nothing out */

/* model_broker.c */
/* A row of the journal's events that no look has seen before. */
void model_judge_arrival(struct model_post *post, bool parked_as_conflict);
void model_alias_found(const struct event_id *id, const struct event_id *first);
bool model_may_be_adopted(const struct model_post *post); /* parked as such when it came */
/* It may be missing in the journal although it was answered 200. */
bool model_is_elsewhere(const struct model_post *post);
/* After all deliveries were read. */
void model_check_ownership(const struct model_post *post, bool first_after_start);
void model_check_send_of_broker_owned(
    const struct model_delivery *delivery, const struct model_delivery *row);

/* model_look.c: one delivery's row as it is now, or as it is durable; false when it can't be seen.
 * */
bool model_look_at(
    const struct model_delivery *delivery, bool durable, struct model_delivery *ret_row);
/* It was there, is final, and its time is over. */
bool model_may_have_expired(const struct model_post *post);
/* A query on what is durable, with a parameter; its first column, or 0. */
int64_t model_look_durable(const char *query, struct slice parameter);
void model_look_begin(void);
void model_look_end(bool crashed, bool complete);

/* model_send.c */
void model_sends_ended(void); /* what was in flight is not any more */

#endif
