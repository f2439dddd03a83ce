/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the admin API, for people. */
#ifndef PENSTOCK_MAIN_SHOW_H
#define PENSTOCK_MAIN_SHOW_H

#include <jansson.h>

/* A member; "-" or 0 where there is none. `object` may be NULL. */
const char *show_text(const json_t *object, const char *name);
long long show_number(const json_t *object, const char *name);

/* The name of an object's endpoint, or its id when nobody knows it any more. */
const char *show_endpoint(const json_t *object);

/* A delivery with its attempts and actions, as it stands in its event's timeline. */
void show_delivery(const json_t *delivery);

#endif
