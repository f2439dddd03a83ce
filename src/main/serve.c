/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock serve` and `penstock check`. */
#include "base/cleanup.h"
#include "base/memory.h"
#include "main/commands.h"
#include "main/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Loads the configuration of a gateway; the complaints go to stderr. */
static enum err load(const char *file, struct config *ret_config)
{
    struct buffer complaints = BUFFER_EMPTY;
    enum err err = process_load(file, ret_config, &complaints);
    if (err && complaints.len)
        fwrite(complaints.data, 1, complaints.len, stderr);
    buffer_done(&complaints);
    return err;
}

static int print_sample(void)
{
    struct buffer sample = BUFFER_EMPTY;
    config_print_sample(&sample);
    enum err err = buffer_status(&sample);
    if (!err)
        fwrite(sample.data, 1, sample.len, stdout);
    buffer_done(&sample);
    return err ? command_fail(err, "check: %s", err_title(err)) : EX_OK;
}

static void print(const char *before, const struct buffer *lines)
{
    for (const char *line = lines->data; line && *line;) {
        int len = (int)strcspn(line, "\n");
        fprintf(stderr, "%s%.*s\n", before, len, line);
        line += len + (line[len] == '\n');
    }
}

static enum err check_tls(const struct config *config)
{
    struct buffer complaints = BUFFER_EMPTY, warnings = BUFFER_EMPTY;
    enum err err = gateway_check_tls(config, &complaints, &warnings);
    print("", &complaints);
    print("warning: ", &warnings);
    buffer_done(&complaints);
    buffer_done(&warnings);
    return err;
}

int command_check(const struct invocation *call)
{
    const char *file = call->flags[FLAG_CONFIG];
    if (call->flags[FLAG_SAMPLE])
        return print_sample();
    if (!file)
        return command_fail(
            ERR_USAGE, "check: --config FILE is missing: give the file to check, or give --sample");
    AUTO_FREE struct config *config = memory_new(sizeof *config);
    enum err err = load(file, config);
    if (!err)
        err = check_tls(config);
    if (!err)
        fprintf(stderr, "%s: no problem found\n", file);
    return err_exit_code(err);
}

int command_serve(const struct invocation *call)
{
    AUTO_FREE struct config *config = memory_new(sizeof *config);
    enum err err = load(call->flags[FLAG_CONFIG], config);
    if (err)
        return err_exit_code(err);
    bool takes_over = call->flags[FLAG_TAKE_OVER] != NULL;
    if (takes_over && (config->queue_kind != CONFIG_QUEUE_RABBITMQ || !config->roles.delivery))
        return command_fail(ERR_USAGE,
            "serve: --take-over is only for a gateway with queue.kind: rabbitmq and delivery in "
            "its roles: remove the flag, or correct the configuration");
    err = process_begin(config);
    if (err)
        return command_fail(err, "serve: the log cannot be started: %s", err_title(err));
    int code =
        process_run(&(struct process){.gateway = {.config = config,
                                          .take_over = takes_over,
                                          .deliveries_off = call->flags[FLAG_DELIVERIES_OFF]},
            .config = config,
            .config_file = call->flags[FLAG_CONFIG]});
    process_end();
    return code;
}
