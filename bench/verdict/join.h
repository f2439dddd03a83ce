/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins the logs of a run into the table of keys, in this order: what was sent and answered (load
 * logs), what the gateway recorded (journals), what was received (sink logs).
 */
#ifndef PENSTOCK_BENCH_VERDICT_JOIN_H
#define PENSTOCK_BENCH_VERDICT_JOIN_H

#include "verdict/figures.h"

/* Returns when the first event of the run was due; 0 when nothing was sent. */
int64_t join_load_start_us(const struct run_log_view *logs, size_t count);

/* Joins one load log. ERR_NO_MEMORY; ERR_TOO_LARGE: too many runs or currencies; ERR_DAMAGED: a
 * record is invalid. */
enum err join_load(
    const struct run_log_view *log, struct keys *keys, struct figures *figures) MUST_CHECK;

/* Joins all `journal-N.db` of a data directory. ERR_NOT_FOUND when there is none; SQLite's messages
 * are in `ret_detail`. */
#define JOIN_DETAIL_BYTES 256
enum err join_journal(const char *directory, struct keys *keys, struct figures *figures,
    char ret_detail[JOIN_DETAIL_BYTES]) MUST_CHECK;

/* Joins all sink logs at once, because one event's requests may be in several of them. */
enum err join_sinks(const struct run_log_view *logs, size_t count, struct keys *keys,
    struct figures *figures) MUST_CHECK;

#endif
