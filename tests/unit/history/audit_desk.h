/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the audit and of the lists ask of a shelf. */
#ifndef PENSTOCK_TESTS_UNIT_HISTORY_AUDIT_DESK_H
#define PENSTOCK_TESTS_UNIT_HISTORY_AUDIT_DESK_H

#include "history/audit_internal.h"
#include "unit/journal/shelf.h"

struct audit_question everything(void);

/* The whole audit; it must succeed. */
struct audit *audit_of(struct shelf *shelf, struct audit_question question);
/* Step by step: audit_step is false when there is nothing more to do, audit_end frees the run. */
struct audit_run *audit_begin(struct shelf *shelf, struct audit_question question);
bool audit_step(struct audit_run *run, enum err *ret_result, struct audit **ret_audit);
enum err audit_end(struct audit_run *run, struct audit **ret_audit);

/* Asserts that there is one. */
const struct audit_row *audit_row_of(const struct audit *audit, int64_t day, const char *account,
    uint64_t endpoint, const char *currency);
const struct audit_finding *audit_finding_of_kind(
    const struct audit *audit, enum audit_kind kind); /* or NULL */
void cr_expect_number(struct audit_number number, int64_t count, const char *sum);

/* The writer's side, each in a transaction of its own. */
void write_totals(struct shelf *shelf);
void shelf_action(
    struct shelf *shelf, int64_t seq, enum delivery_state from, enum delivery_state to);
void shelf_attempt(
    struct shelf *shelf, int64_t seq, unsigned index, enum delivery_state to); /* from pending */
void shelf_conflict(struct shelf *shelf, int64_t first_seq);
void shelf_route(struct shelf *shelf, int64_t seq, uint64_t endpoint);

#endif
