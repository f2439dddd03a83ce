/* SPDX-License-Identifier: Apache-2.0 */
/* The admin API over a plain socket, with real accounts and a reader without journals. */
#ifndef PENSTOCK_TESTS_UNIT_ADMIN_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_ADMIN_FIXTURE_H

#include "admin/admin.h"
#include "journal/endpoint_test.h"

#include <criterion/criterion.h>

#define TOKEN "at_0123456789abcdef"
#define ANSWER_BYTES 65536
#define INSTALLATION "00112233445566778899aabbccddeeff"

extern struct admin *admin;

/* The owner of all deliveries: answers each action with `result`, and says that the delivery is in
 * `state`. */
extern struct ownership {
    enum err result;
    enum delivery_state state;
    unsigned asked;
    struct journal_operator_action action; /* the last one */
} owner;

/* The shards of delivery: answer each test of an endpoint with this. */
extern struct endpoint_test tested;

/* Options that a suite changes before fixture_begin. */
extern struct admin_options fixture_options;

void fixture_begin(
    void); /* everything runs, in a directory of its own; only https URLs are allowed */
void fixture_end(void);
/* From now on there is a journal without events. */
void fixture_make_journal(void);

/* Headers of the next requests. */
extern const char *fixture_host, *fixture_origin; /* fixture_origin NULL: none */

/* One request on a connection of its own; returns the status and leaves the body in answer_body. */
extern char answer_body[ANSWER_BYTES];
int ask(const char *method, const char *path, const char *token, const char *body);
/* Where the listener is, for clients of another kind. */
const struct sockaddr_storage *fixture_address(socklen_t *ret_len);
int operate(const char *method, const char *path, const char *body); /* with the token */

const char *member(
    const char *name);            /* a text member of the last answer; valid until the next call */
bool answer_is(const char *json); /* as values; the order of members does not count */
bool names_fields(const char
        *pointers); /* the pointers of its errors, in their order, with a space between two */

void make_account(const char *account);

#endif
