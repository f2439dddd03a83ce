/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where lines end up: stderr and stdout, whose readers may have gone to sleep (a logger that hangs,
 * a terminal that is held). Nothing here waits for them longer than it is told to, and O_NONBLOCK
 * is not set on what others may share.
 *
 * While stderr is captured, descriptor 2 is a pipe of our own that never blocks, so that what a
 * library prints from within a loop holds nobody up (h2o 2.2.5 prints each unknown frame type); the
 * log thread reads it. Last words still reach the real stderr: what the C library says before it
 * aborts, and the reports of sanitizers.
 */
#ifndef PENSTOCK_RUNTIME_LOG_OUTPUT_H
#define PENSTOCK_RUNTIME_LOG_OUTPUT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum log_stream { LOG_STDERR, LOG_STDOUT };

/*
 * Writes text from *done on, which moves. False when its reader takes no more for `wait_ms`: call
 * again with the same text, or give up. A stream that fails counts as written: there is nobody left
 * to tell.
 */
bool log_output_put(
    enum log_stream stream, const char *text, size_t len, size_t *done, int wait_ms);

enum err log_output_capture(
    void) MUST_CHECK;          /* once, before there are threads; nothing without a stderr */
void log_output_release(void); /* descriptor 2 is stderr again */
/* What libraries have printed since; 0: nothing. One thread at a time. */
size_t log_output_captured(char *ret_text, size_t size);
/* Async-signal-safe: what is still captured, and then `text`, for somebody who is about to end the
 * process. */
void log_output_last_words(const char *text, size_t len);

#endif
