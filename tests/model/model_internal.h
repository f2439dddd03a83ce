/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the model. */
#ifndef PENSTOCK_TESTS_MODEL_MODEL_INTERNAL_H
#define PENSTOCK_TESTS_MODEL_MODEL_INTERNAL_H

#include "model.h"

#include <sqlite3.h>

#define NAME_BYTES 32 /* "p<post>/<index>" */

/* model.c */
const struct model_rules *model_rules(void);
struct model_post *model_post(unsigned number);
/* The accepted post of this key, if it is known; or NULL. */
struct model_post *model_first_of(uint32_t scope);
void model_name_post(const struct model_post *post, char ret_name[NAME_BYTES]);
void model_name(const struct model_delivery *delivery, char ret_name[NAME_BYTES]);
/* Records that the post was accepted as the first of its key, or that it was not accepted. */
void model_decide_post(struct model_post *post, bool happened);
bool model_journal_is_in_doubt(void);
unsigned model_conflicts_answered(void);
int64_t model_journal_us(void); /* the journal's clock, which decides what expires */
void model_looked(void);
int64_t model_run_us(void); /* the same clock, of this run only */
/* At the first request of a run: the journal's waiting deliveries were read. */
void model_sending(void);
void model_attempt_took(int64_t duration_us);
/* The retry schedule of an endpoint: its own, or the gateway's. Returns the number of its steps. */
unsigned model_schedule_of(uint64_t endpoint, const int64_t **ret_steps_us);
/* Not later than its schedule permits. */
void model_check_due(const struct model_delivery *row, const char *name);

/* model_operator_actions.c: called for each row of the journal's table of actions, then once after
 * the last row. */
struct model_action_row {
    enum delivery_state from, to;
    uint64_t from_endpoint, to_endpoint;
    unsigned long look; /* number of the look that found it */
};
void model_action_found(struct model_delivery *delivery, const struct model_action_row *row);
void model_actions_read(bool decides_doubts);
/* Returns whether an action of this kind may have happened without a look finding it yet. */
bool model_action_is_open(
    const struct model_delivery *delivery, enum delivery_state from, enum delivery_state to);
void model_actions_crashed(void);
unsigned model_actions_in_flight(void);

/* model_ways.c: `row` is the delivery's row in the journal. */
void model_check_way(
    struct model_delivery *delivery, const struct model_delivery *row, bool first_after_start);
/* May have become final since the last look. */
bool model_may_be_final(const struct model_delivery *delivery);
bool model_is_guarded(const struct model_delivery *delivery);

/* model_backlog.c */
void model_check_backlog(sqlite3 *db);

/* model_money.c */
model_money model_parse_amount(const char *text);
void model_format_amount(model_money amount, char ret_text[48]);
bool model_same_money(const struct model_post *a, const struct model_post *b);
void model_check_totals(sqlite3 *db);
void model_check_totals_are_written(sqlite3 *db); /* after an orderly stop */

/* model_broker.c */
/* Called for a row of the journal's events that no look has found before. */
void model_judge_arrival(struct model_post *post, bool parked_as_conflict);
void model_alias_found(const struct event_id *id, const struct event_id *first);
bool model_may_be_adopted(const struct model_post *post); /* may be parked as adopted by force */
/* It may be missing in the journal although it was answered 200. */
bool model_is_elsewhere(const struct model_post *post);
/* Called once the deliveries were read. */
void model_check_ownership(const struct model_post *post, bool first_after_start);
void model_check_send_of_broker_owned(
    const struct model_delivery *delivery, const struct model_delivery *row);

/* model_look.c: reads one delivery's row, as it is now or as it is durable. Returns false when the
 * journal cannot be read. */
/* It was in the journal, is final, and is older than its retention. */
bool model_look_at(
    const struct model_delivery *delivery, bool durable, struct model_delivery *ret_row);
bool model_may_have_expired(const struct model_post *post);
/* Runs a query with one parameter on the durable journal. Returns its first column, or 0. */
int64_t model_look_durable(const char *query, struct slice parameter);
void model_look_begin(void);
void model_look_end(bool crashed, bool complete);

/* model_flow.c */
void model_flow_found_waiting(const struct model_delivery *delivery); /* at the first look */
void model_flow_sent(struct model_delivery *delivery, bool guarded, const char *name);
void model_flow_ended(struct model_delivery *delivery, const struct model_end *end);

/* model_probe.c: called for each row of the table of actions that a status probe wrote. */
void model_resolution_found(struct model_delivery *delivery, const struct model_action_row *row);
/* As model_action_is_open. */
bool model_resolution_is_open(
    const struct model_delivery *delivery, enum delivery_state from, enum delivery_state to);
/* Parked as ambiguous: a status probe will resolve it, if its client answers. */
bool model_should_be_resolved(const struct model_delivery *delivery);
void model_questions_forgotten(void); /* the run has ended */

/* model_send.c */
void model_sends_ended(void); /* the run has ended: no request is in flight any more */

#endif
