/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock serve` and `penstock check`. */
#include "main/command.h"
#include "main/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static int print_complaints(enum err error, struct buffer *complaints)
{
    if (complaints->len)
        fwrite(complaints->data, 1, complaints->len, stderr);
    buffer_done(complaints);
    return err_exit_code(error);
}

int command_check(const struct invocation *call)
{
    if (call->flags[FLAG_SAMPLE]) {
        struct buffer sample = BUFFER_EMPTY;
        config_print_sample(&sample);
        if (buffer_status(&sample) == OK)
            fwrite(sample.data, 1, sample.len, stdout);
        buffer_done(&sample);
        return EX_OK;
    }
    if (!call->flags[FLAG_CONFIG])
        return command_fail(ERR_USAGE, "check: say which file: penstock check -c FILE");
    struct config *config = malloc(sizeof *config);
    struct buffer complaints = BUFFER_EMPTY;
    enum err failed =
        config ? process_load(call->flags[FLAG_CONFIG], config, &complaints) : ERR_NO_MEMORY;
    free(config);
    if (failed)
        return print_complaints(failed, &complaints);
    buffer_done(&complaints);
    fprintf(stderr, "%s is fine\n", call->flags[FLAG_CONFIG]);
    return EX_OK;
}

int command_serve(const struct invocation *call)
{
    if (!call->flags[FLAG_CONFIG])
        return command_fail(ERR_USAGE,
            "serve: say which configuration: penstock serve -c FILE (to try it out: penstock dev)");
    struct config *config = malloc(sizeof *config);
    struct buffer complaints = BUFFER_EMPTY;
    enum err failed =
        config ? process_load(call->flags[FLAG_CONFIG], config, &complaints) : ERR_NO_MEMORY;
    if (failed) {
        free(config);
        return print_complaints(failed, &complaints);
    }
    buffer_done(&complaints);
    if (call->flags[FLAG_TAKE_OVER] &&
        (config->queue_kind != CONFIG_QUEUE_RABBITMQ || !config->roles.delivery)) {
        free(config);
        return command_fail(ERR_USAGE, "serve: --take-over is for a gateway with delivery in its "
                                       "roles and queue.kind: rabbitmq");
    }
    failed = process_begin();
    int code = err_exit_code(failed);
    if (!failed) {
        code = process_run(&(struct process){
            .gateway = {.config = config, .take_over = call->flags[FLAG_TAKE_OVER] != NULL},
            .config = config,
            .config_file = call->flags[FLAG_CONFIG]});
        process_end();
    }
    free(config);
    return code;
}
