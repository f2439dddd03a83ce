/* SPDX-License-Identifier: Apache-2.0 */
/* The sink of `penstock dev`: a client on 127.0.0.1 that answers 200 to every delivery and prints
 * what it gets. */
#ifndef PENSTOCK_MAIN_SINK_H
#define PENSTOCK_MAIN_SINK_H

#include "base/err.h"

struct sink;

enum err sink_start(struct sink **ret_sink) MUST_CHECK;
const char *sink_url(const struct sink *sink); /* http://127.0.0.1:PORT/hook */
void sink_stop(struct sink *sink);             /* takes NULL */

#endif
