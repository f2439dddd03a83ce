/* SPDX-License-Identifier: Apache-2.0 */
/* Prints answers of the admin API for people. */
#ifndef PENSTOCK_CLI_PRINT_ANSWER_H
#define PENSTOCK_CLI_PRINT_ANSWER_H

#include <jansson.h>

/* A member of an object; "-" or 0 when there is none. `object` may be NULL. */
const char *show_text(const json_t *object, const char *name);
long long show_number(const json_t *object, const char *name);
/* The name of the endpoint of an object, its id when the endpoint has been removed, or
 * "(unrouted)". */
const char *show_endpoint(const json_t *object);

/* Answers of one kind each. */
void show_event(const json_t *event);       /* with its deliveries */
void show_delivery(const json_t *delivery); /* with its event */
void show_attempt(const json_t *attempt);   /* how it was made, and its answer */
void show_action(const json_t *answer);     /* of an operator action */

void show_partner(const json_t *partner); /* with its rules, keys and secrets */
void show_rejections(const json_t *answer);
void show_operator_events(const json_t *answer);

/* Any object: a line for each member. */
void show_members(const json_t *object);
/* One of the lines. */
void show_member(const json_t *object, const char *name, const json_t *value);
/* Any answer with one list: a line for each item. */
void show_list(const json_t *answer);

#endif
