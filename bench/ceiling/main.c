/* SPDX-License-Identifier: Apache-2.0 */
/* The program: command line, start, ready file, the wait for a signal, the counts. */
#include "base/clock.h"
#include "ceiling/options.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#define PATH_BYTES_MAX 4096

void ceiling_complain(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "penstock-ceiling: %s\n", text);
}

/* Under another name first, so that whoever waits for the file finds all of it. */
static enum err write_ready_file(const struct ceiling *ceiling, unsigned port)
{
    const char *path = ceiling->options.ready_file;
    char unfinished[PATH_BYTES_MAX];
    if (!path)
        return OK;
    snprintf(unfinished, sizeof unfinished, "%s.%d", path, (int)getpid());
    FILE *file = fopen(unfinished, "w");
    bool written = file;
    if (file) {
        written = fprintf(file, "{\"port\": %u, \"url\": \"%s://127.0.0.1:%u\", \"pid\": %d}\n", port,
                      ceiling->options.certificate_file ? "https" : "http", port, (int)getpid()) > 0;
        written = fclose(file) == 0 && written;
    }
    if (written && rename(unfinished, path) == 0)
        return OK;
    ceiling_complain("--ready-file %s: %s", path, strerror(errno));
    return ERR_DISK;
}

static void print_counts(const struct ceiling *ceiling, struct server *server)
{
    struct ceiling_counts sum = {0};
    for (unsigned i = 0; i < ceiling->options.threads; i++) {
        const struct ceiling_loop *loop = server_loop_at(server, i)->data;
        sum.requests += loop->counts.requests;
        sum.answered += loop->counts.answered;
        sum.refused += loop->counts.refused;
        sum.left += loop->counts.left;
    }
    fprintf(stderr, "%s: requests=%llu answered=%llu refused=%llu left=%llu", ceiling->kind->name,
        (unsigned long long)sum.requests, (unsigned long long)sum.answered, (unsigned long long)sum.refused,
        (unsigned long long)sum.left);
}

static enum err start(struct ceiling *ceiling, struct server **ret_server)
{
    const struct ceiling_kind *kind = ceiling->kind;
    struct server_options options = {.port = ceiling->options.port,
        .threads = ceiling->options.threads,
        .certificate_file = ceiling->options.certificate_file,
        .key_file = ceiling->options.key_file,
        .body_bytes_max = BODY_BYTES_MAX,
        .on_start = kind->on_start,
        .on_request = kind->on_request,
        .context = ceiling};
    ceiling->started_us = clock_mono_us();
    enum err result = kind->open ? kind->open(ceiling) : OK;
    if (!result)
        result = server_start(&options, ret_server);
    if (!result)
        result = write_ready_file(ceiling, server_port(*ret_server));
    return result;
}

int main(int argc, char **argv)
{
    static struct ceiling ceiling;
    static struct server *server; /* static: what connections still hold at the end is no leak */
    bool help = false;
    enum err result = options_parse(argc, argv, &ceiling, &help);
    if (result)
        return err_exit_code(result);
    if (help) {
        options_print_help();
        return 0;
    }
    sigset_t signals; /* taken by main alone: the threads inherit the mask */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    result = start(&ceiling, &server);
    if (result) {
        ceiling_complain("can't start: %s", err_title(result));
        return err_exit_code(result);
    }
    int caught;
    sigwait(&signals, &caught);
    atomic_store(&ceiling.ending, true);
    if (ceiling.kind->cut)
        ceiling.kind->cut(&ceiling, server);
    server_stop(server);
    print_counts(&ceiling, server);
    if (ceiling.kind->close)
        ceiling.kind->close(&ceiling, server);
    fputc('\n', stderr);
    return 0;
}
