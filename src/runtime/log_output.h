/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to stderr and stdout, whose readers may have stopped (a logger that hangs, a stopped
 * terminal). No function waits longer than its limit. O_NONBLOCK is not set, because other
 * processes may share the file description.
 *
 * While stderr is captured, descriptor 2 is a pipe that never blocks, and the log thread reads it.
 * So output of a library does not block a loop (h2o 2.2.5 prints each unknown frame type). The real
 * stderr still gets the last words: what the C library prints before it aborts, and the reports of
 * sanitizers.
 */
#ifndef PENSTOCK_RUNTIME_LOG_OUTPUT_H
#define PENSTOCK_RUNTIME_LOG_OUTPUT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum log_stream { LOG_STDERR, LOG_STDOUT };

/*
 * Writes the text from *done on, and advances *done. Returns false if the stream takes no more for
 * `wait_ms`: call again with the same text, or give up. A stream that fails counts as written,
 * because the error could not be reported anywhere.
 */
bool log_output_put(
    enum log_stream stream, const char *text, size_t len, size_t *done, int wait_ms);

/* Captures stderr. Call it once, before the first thread starts. Does nothing without a stderr. */
enum err log_output_capture(void) MUST_CHECK;
void log_output_release(void); /* makes descriptor 2 stderr again */
/* Reads what libraries have printed and returns the length, or 0 if there is nothing. For one
 * thread at a time. */
size_t log_output_captured(char *ret_text, size_t size);
/* Writes what is still captured, and then `text`, before the caller ends the process.
 * Async-signal-safe. */
void log_output_last_words(const char *text, size_t len);

#endif
