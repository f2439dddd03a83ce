/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll reports when a pipe takes PIPE_BUF bytes, and no line is longer. If another process writes
 * to the same pipe in between, the log thread may block. Then only the log thread waits, lines are
 * dropped, and log_stop gives up.
 */
#include "runtime/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LAST_WORDS_WAIT_MS 200

static int real_stderr = -1; /* while captured */
static int captured = -1;    /* the reading end of descriptor 2 */

/* Sanitizers write their report to descriptor 2 and end the process. This call gives them another
 * descriptor. */
extern void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

static int descriptor_of(enum log_stream stream)
{
    if (stream == LOG_STDOUT)
        return STDOUT_FILENO;
    return real_stderr >= 0 ? real_stderr : STDERR_FILENO;
}

/* MSG_DONTWAIT works for a socket (journald). For other files poll has reported room. */
static ssize_t write_some(int fd, const char *text, size_t len)
{
    if (len > PIPE_BUF)
        len = PIPE_BUF;
    ssize_t written = send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return written < 0 && errno == ENOTSOCK ? write(fd, text, len) : written;
}

static bool put(int fd, const char *text, size_t len, size_t *done, int wait_ms)
{
    while (*done < len) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        int found = poll(&ready, 1, wait_ms);
        if (found == 0)
            return false;
        ssize_t written = found > 0 ? write_some(fd, text + *done, len - *done) : -1;
        if (written > 0)
            *done += (size_t)written;
        else if (written < 0 && (errno == EINTR || (errno == EAGAIN && wait_ms > 0)))
            continue;
        else
            return written == 0 || errno != EAGAIN;
    }
    return true;
}

bool log_output_put(enum log_stream stream, const char *text, size_t len, size_t *done, int wait_ms)
{
    return put(descriptor_of(stream), text, len, done, wait_ms);
}

size_t log_output_captured(char *ret_text, size_t size)
{
    ssize_t got = captured >= 0 ? read(captured, ret_text, size) : 0;
    return got > 0 ? (size_t)got : 0;
}

void log_output_last_words(const char *text, size_t len)
{
    char said[1024];
    int fd = descriptor_of(LOG_STDERR);
    for (size_t got; (got = log_output_captured(said, sizeof said)) > 0;) {
        size_t done = 0;
        if (!put(fd, said, got, &done, LAST_WORDS_WAIT_MS))
            return;
    }
    size_t done = 0;
    put(fd, text, len, &done, LAST_WORDS_WAIT_MS);
}

/* The C library or an assertion has printed the reason. abort continues when this returns. */
static void on_abort(int number)
{
    log_output_last_words("", 0);
}

enum err log_output_capture(void)
{
    int kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (kept < 0)
        return errno == EBADF ? OK : ERR_SYSTEM;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
        close(kept);
        return ERR_SYSTEM;
    }
    if (__sanitizer_set_report_fd)
        __sanitizer_set_report_fd(
            (void *)(intptr_t)kept); /* NOLINT(performance-no-int-to-ptr): its interface */
    real_stderr = kept;
    captured = ends[0];
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    struct sigaction action = {.sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGABRT, &action, NULL);
    return OK;
}

/* The saved descriptor stays open: a sanitizer may still report. */
void log_output_release(void)
{
    if (real_stderr >= 0)
        dup2(real_stderr, STDERR_FILENO);
}
