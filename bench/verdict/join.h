/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three accounts of a run, joined into the table of keys in this order: what was sent and
 * answered (the load logs), what the gateway says (its journals), what arrived (the sink logs).
 */
#ifndef PENSTOCK_BENCH_VERDICT_JOIN_H
#define PENSTOCK_BENCH_VERDICT_JOIN_H

#include "verdict/figures.h"

/* One load log. ERR_NO_MEMORY; ERR_TOO_LARGE: too many runs or currencies; ERR_DAMAGED: a record
 * that makes no sense. / */
enum err join_load(
    const struct run_log_view *log, struct keys *keys, struct figures *figures) MUST_CHECK;

/* All `journal-N.db` of a data directory. ERR_NOT_FOUND when there is none; what SQLite says goes
 * to `ret_detail`. */
#define JOIN_DETAIL_BYTES 256
enum err join_journal(const char *directory, struct keys *keys, struct figures *figures,
    char ret_detail[JOIN_DETAIL_BYTES]) MUST_CHECK;

/* All sink logs at once, since an event's requests may be spread over them. */
enum err join_sinks(const struct run_log_view *logs, size_t count, struct keys *keys,
    struct figures *figures) MUST_CHECK;

#endif
