/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the server, writes the ready file, waits for a signal, prints the counts. */
#include "ceiling/options.h"

#include <stdarg.h>
#include <stdio.h>

void ceiling_complain(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "penstock-ceiling: %s\n", text);
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
        (unsigned long long)sum.requests, (unsigned long long)sum.answered,
        (unsigned long long)sum.refused, (unsigned long long)sum.left);
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
    enum err result = kind->open ? kind->open(ceiling) : OK;
    if (!result)
        result = server_start(&options, ret_server);
    if (result || !ceiling->options.ready_file)
        return result;
    result = server_write_ready_file(*ret_server, ceiling->options.ready_file);
    if (result)
        ceiling_complain("--ready-file %s", ceiling->options.ready_file);
    return result;
}

int main(int argc, char **argv)
{
    static struct ceiling ceiling;
    static struct server *server; /* static: open connections keep memory, which is not a leak */
    enum err result = ceiling_options_parse(argc, argv, &ceiling);
    if (result)
        return err_exit_code(result);
    server_block_signals();
    result = start(&ceiling, &server);
    if (result) {
        ceiling_complain("cannot start: %s", err_title(result));
        return err_exit_code(result);
    }
    server_wait_for_signal();
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
