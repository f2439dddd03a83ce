/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging that never blocks a thread. Each thread formats its lines into a bounded ring of its own,
 * and the log thread writes them out. When a ring is full, the line is dropped and counted:
 * penstock_log_dropped_total, and a log line with the count. The log thread waits for no reader of
 * stderr or stdout (log_output.h), and log_stop gives up after two seconds.
 *
 * Lines are written to stderr as `time level thread message key=value ...`. The live channel is
 * for people: its text is written to stdout unchanged. Library layers do not log. The layer that
 * decides logs once, with ids, and never with secrets or bodies.
 */
#ifndef PENSTOCK_RUNTIME_LOG_H
#define PENSTOCK_RUNTIME_LOG_H

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LIVE };

/* Call log_start before the first thread starts, and log_stop after the last one has ended. Before
 * and after, lines are written directly, and dropped if stderr does not take them within a
 * second. */
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
