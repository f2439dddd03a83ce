/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong at present, in words: the verdict of `penstock status`. Each problem says what it
 * is and what to do. The worst comes first. None: all is well.
 *
 * Bound: one line for each kind of problem and for each journal, PROBLEMS_ENDPOINTS lines for
 * endpoints that have failed, and as many for others that fail often.
 */
#ifndef PENSTOCK_ADMIN_PROBLEMS_H
#define PENSTOCK_ADMIN_PROBLEMS_H

#include <jansson.h>

struct admin;
struct backlog_view;

#define PROBLEMS_ENDPOINTS 5

/* A list of {"what", "remedy"}. */
json_t *problems_view(const struct admin *admin, const struct backlog_view *view);

#endif
