/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging that never blocks a thread: each thread formats into a bounded ring of its own, one
 * thread writes them all out. A full ring drops the line and counts it (penstock_log_dropped_total,
 * and a line that says how many): the log thread waits for no reader of stderr or stdout
 * (log_output.h), and log_stop gives up after two seconds.
 *
 * Lines go to stderr as `time level thread message key=value ...`. The live channel is for people:
 * its text goes to stdout as it is. Libraries don't log: the layer that decides does, once, with
 * ids, never with secrets or bodies.
 */
#ifndef PENSTOCK_RUNTIME_LOG_H
#define PENSTOCK_RUNTIME_LOG_H

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LIVE };

/* Before the first thread and after the last one. Until log_start and after log_stop lines are
 * written directly, and dropped when they are not taken within a second. */
enum err log_start(void) MUST_CHECK;
void log_stop(void);

void log_set_level(enum log_level level); /* any thread */
enum log_level log_level(void);

void log_thread_enter(const char *name);
void log_thread_leave(void);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
