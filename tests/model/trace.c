/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include "base/clock.h"
#include "runtime/log.h"
#include "sim.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 240

void __wrap_log_write(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static char lines[TRACE_LINES_KEPT][LINE_BYTES];
static unsigned long lines_count;
static uint64_t seed_of_run, hash;
static bool is_loud;

void trace_begin(uint64_t seed, bool loud)
{
    seed_of_run = seed;
    is_loud = loud;
    lines_count = 0;
    hash = 0xcbf29ce484222325; /* FNV-1a */
}

static void add_line(const char *what, const char *format, va_list args)
{
    char *line = lines[lines_count++ % TRACE_LINES_KEPT];
    const struct sim_coroutine *current = sim_current();
    int len = snprintf(line, LINE_BYTES, "%11.6f %-10s %s",
        (double)(sim_mono_us() - 1000 * US_PER_SECOND) / 1e6,
        current ? sim_name(current) : "driver", what);
    vsnprintf(line + len, (size_t)(LINE_BYTES - len), format, args);
    for (const char *at = line; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 0x100000001b3;
    if (is_loud)
        fprintf(stderr, "%s\n", line);
}

void trace(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line("", format, args);
    va_end(args);
}

/* Penstock's log lines are part of the trace. */
void __wrap_log_write(enum log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line(level == LOG_ERROR  ? "log error: "
             : level == LOG_WARN ? "log warn: "
                                 : "log: ",
        format, args);
    va_end(args);
}

uint64_t trace_hash(void)
{
    return hash;
}

static void print_report(const char *broken, const char *what)
{
    fprintf(stderr, "\nFAILED seed=%llu broken=%s: %s\n", (unsigned long long)seed_of_run, broken,
        what);
    unsigned long from = lines_count > TRACE_LINES_KEPT ? lines_count - TRACE_LINES_KEPT : 0;
    for (unsigned long i = from; !is_loud && i < lines_count; i++)
        fprintf(stderr, "  %s\n", lines[i % TRACE_LINES_KEPT]);
    fflush(stderr);
}

void fail(const char *broken, const char *format, ...)
{
    char what[600];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    print_report(broken, what);
    _exit(1);
}

static void on_signal(int number)
{
    char what[80];
    snprintf(what, sizeof what, "signal %d (%s)", number, sigabbrev_np(number));
    print_report(BROKEN_CRASH, what);
    _exit(1);
}

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
static void on_sanitizer_death(void)
{
    print_report(BROKEN_CRASH, "a sanitizer's report, see above");
}
#endif

void trace_catch_crashes(void)
{
    static char stack[65536];
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESETHAND};
    sigaction(SIGABRT, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(on_sanitizer_death);
#else
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
#endif
}
