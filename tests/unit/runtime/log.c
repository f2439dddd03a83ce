/* SPDX-License-Identifier: Apache-2.0 */
/* Each test replaces its own stderr and stdout by pipes (Criterion forks), and restores them before
 * it asserts anything. */
#include "runtime/log.h"

#include "base/limits.h"
#include "runtime/log_output.h"
#include "runtime/metrics.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct capture {
    int fd, saved_fd, read_fd;
};

static struct capture capture_begin(int fd)
{
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    struct capture capture = {.fd = fd, .saved_fd = dup(fd), .read_fd = fds[0]};
    cr_assert_geq(dup2(fds[1], fd), 0);
    close(fds[1]);
    return capture;
}

/* Reads everything that was written. Restores the descriptor first, so that reading ends. */
static size_t capture_end(struct capture *capture, char *text, size_t size)
{
    dup2(capture->saved_fd, capture->fd);
    close(capture->saved_fd);
    size_t len = 0;
    for (ssize_t got = 1; got > 0 && len<size - 1; len += got> 0 ? (size_t)got : 0)
        got = read(capture->read_fd, text + len, size - 1 - len);
    text[len] = '\0';
    close(capture->read_fd);
    return len;
}

static char text[1024 * 1024];

Test(log, lines_are_written_directly_before_the_start)
{
    struct capture capture = capture_begin(STDERR_FILENO);
    log_write(LOG_ERROR, "nothing runs yet code=%d", 7);
    capture_end(&capture, text, sizeof text);
    cr_assert_not_null(strstr(text, " error - nothing runs yet code=7\n"), "%s", text);
}

Test(log, line_has_time_level_thread_and_message)
{
    struct capture capture = capture_begin(STDERR_FILENO);
    log_thread_enter("ingress-0");
    enum err started = log_start();
    log_info("listening address=%s", "127.0.0.1:8080");
    log_stop();
    log_thread_leave();
    capture_end(&capture, text, sizeof text);
    cr_assert_eq(started, OK);
    unsigned year, month, day, hour, minute, second, micros;
    int consumed = 0;
    cr_assert_eq(sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2u.%6uZ %n", &year, &month, &day, &hour,
                     &minute, &second, &micros, &consumed),
        7, "%s", text);
    cr_assert_str_eq(text + consumed, "info  ingress-0 listening address=127.0.0.1:8080\n");
}

Test(log, threshold_drops_lower_levels_and_never_the_live_channel)
{
    struct capture err = capture_begin(STDERR_FILENO), out = capture_begin(STDOUT_FILENO);
    log_set_level(LOG_WARN);
    log_error("e");
    log_warn("w");
    log_info("i");
    log_debug("d");
    log_write(LOG_LIVE, "live %s", "line");
    static char live[4096];
    capture_end(&out, live, sizeof live);
    capture_end(&err, text, sizeof text);
    cr_assert_str_eq(live, "live line\n");
    cr_assert_not_null(strstr(text, "error - e\n"));
    cr_assert_not_null(strstr(text, "warn  - w\n"));
    cr_assert_null(strstr(text, "info"));
    cr_assert_null(strstr(text, "debug"));
    cr_assert_eq(log_level(), LOG_WARN);
}

Test(log, long_lines_are_cut)
{
    struct capture capture = capture_begin(STDERR_FILENO);
    log_thread_enter("long");
    enum err started = log_start();
    char message[2 * LOG_LINE_BYTES];
    memset(message, '#', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    log_error("%s", message);
    log_error("next");
    log_stop();
    log_thread_leave();
    size_t len = capture_end(&capture, text, sizeof text);
    cr_assert_eq(started, OK);
    size_t kept = 0;
    for (size_t i = 0; i < len; i++)
        kept += text[i] == '#';
    cr_assert_eq(kept, LOG_LINE_BYTES - 1);
    cr_assert_not_null(strstr(text, "#\n"));
    cr_assert_not_null(strstr(text, "error long next\n"));
}

/* Fills a pipe, so that the next write to it blocks. */
static void fill_pipe(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, "#", 1) == 1)
        ;
    cr_assert_eq(errno, EAGAIN);
    fcntl(fd, F_SETFL, flags);
}

static void *drain_pipe(void *argument)
{
    const struct capture *capture = argument;
    size_t len = 0;
    for (ssize_t got; len < sizeof text - 1; len += (size_t)got) {
        got = read(capture->read_fd, text + len, sizeof text - 1 - len);
        if (got <= 0)
            break;
    }
    text[len] = '\0';
    return NULL;
}

Test(log, full_ring_drops_lines_and_reports_their_count)
{
    metrics_thread_enter();
    struct capture capture = capture_begin(STDERR_FILENO);
    fill_pipe(STDERR_FILENO);
    log_thread_enter("chatty");
    enum err started = log_start();
    for (int i = 0; i < LOG_RING_LINES + 7; i++)
        log_error("line=%d.", i); /* the log thread cannot finish the first one */
    int64_t dropped = metrics_read(METRIC_LOG_DROPPED);
    pthread_t drainer;
    pthread_create(&drainer, NULL, drain_pipe, &capture);
    log_stop();
    log_thread_leave();
    dup2(capture.saved_fd, STDERR_FILENO);
    pthread_join(drainer, NULL);

    cr_assert_eq(started, OK);
    cr_assert_eq(dropped, 7, "%lld", (long long)dropped);
    cr_assert_not_null(strstr(text, "line=0.\n"));
    char last[32];
    snprintf(last, sizeof last, "line=%d.\n", LOG_RING_LINES - 1);
    cr_assert_not_null(strstr(text, last));
    snprintf(last, sizeof last, "line=%d.\n", LOG_RING_LINES);
    cr_assert_null(strstr(text, last));
    cr_assert_not_null(strstr(text, "warn  chatty log lines dropped"));
    cr_assert_not_null(strstr(text, "count=7\n"));
    close(capture.read_fd);
}

static void *say_and_end(void *argument)
{
    log_thread_enter(argument);
    for (int i = 0; i < 100; i++)
        log_error("said=%d.", i);
    log_thread_leave();
    return NULL;
}

Test(log, all_lines_of_an_ended_thread_are_written_in_order)
{
    struct capture capture = capture_begin(STDERR_FILENO);
    enum err started = log_start();
    pthread_t threads[4];
    static char names[4][8] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, say_and_end, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    log_stop();
    capture_end(&capture, text, sizeof text);
    cr_assert_eq(started, OK);
    for (int thread = 0; thread < 4; thread++) {
        const char *at = text;
        for (int i = 0; i < 100; i++) {
            char line[64];
            snprintf(line, sizeof line, "error %s said=%d.\n", names[thread], i);
            at = strstr(at, line);
            cr_assert_not_null(at, "%s", line);
        }
    }
}

/* Returns what `child` writes to stderr and how it ends. */
static int run_child(void (*child)(void))
{
    struct capture capture = capture_begin(STDERR_FILENO);
    pid_t pid = fork();
    if (pid == 0) {
        close(capture.read_fd);
        child();
        _exit(0);
    }
    capture_end(&capture, text, sizeof text);
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

static void print_as_a_library_does(void)
{
    if (log_output_capture() || log_start())
        _exit(1);
    for (int i = 0; i < 100000; i++)
        fprintf(stderr, "number %d\tis odd\n", i);
    log_stop();
    fprintf(stderr, "released\n");
}

Test(log, output_of_libraries_is_logged_as_a_few_lines)
{
    int status = run_child(print_as_a_library_does);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_not_null(
        strstr(text, " warn  stderr a library printed: number 0?is odd\n"), "%s", text);
    cr_assert_not_null(strstr(text, "\nreleased\n"));
    unsigned lines = 0;
    for (const char *at = text; (at = strstr(at, "is odd")); at++)
        lines++;
    cr_assert_lt(lines, 1000, "%u", lines);
}

static void fail(void)
{
    if (log_output_capture() || log_start())
        _exit(1);
    fprintf(stderr, "Assertion `1 == 2' failed.\n");
    abort();
}

Test(log, last_words_reach_stderr)
{
    int status = run_child(fail);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert_not_null(strstr(text, "Assertion `1 == 2' failed.\n"), "%s", text);
}

static void end_although_nobody_reads(void)
{
    fill_pipe(STDERR_FILENO);
    if (log_output_capture() || log_start())
        _exit(1);
    for (int i = 0; i < 100000; i++)
        fprintf(stderr, "number %d\n", i);
    log_thread_enter("child");
    log_error("nobody hears this");
    log_stop();
    log_error("nor this");
    log_thread_leave();
}

Test(log, stop_does_not_wait_for_a_reader)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        end_although_nobody_reads();
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0); /* nobody reads ends[0] */
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
