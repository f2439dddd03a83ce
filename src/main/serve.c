/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock serve` and `penstock check`. */
#include "client/address_guard.h"
#include "main/command.h"
#include "main/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

extern char **environ;

static int print_complaints(enum err error, struct buffer *complaints)
{
    if (complaints->len)
        fwrite(complaints->data, 1, complaints->len, stderr);
    buffer_done(complaints);
    return err_exit_code(error);
}

/* What the option table can't see: that the networks are ones. */
static enum err check_networks(const struct config *config, struct buffer *complaints)
{
    enum err result = OK;
    for (unsigned i = 0; i < config->allow_networks.count; i++) {
        struct network network;
        const char *text = config->allow_networks.texts[i];
        if (network_parse(slice_from_string(text), &network))
            continue;
        buffer_add_format(complaints,
            "delivery.allow_networks: \"%s\" is not a network such as 10.0.0.0/8 (host bits must be 0)\n", text);
        result = ERR_CONFIG;
    }
    return result;
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
    enum err failed = config ? config_load(call->flags[FLAG_CONFIG], environ, config, &complaints) : ERR_NO_MEMORY;
    if (!failed)
        failed = check_networks(config, &complaints);
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
        return command_fail(
            ERR_USAGE, "serve: say which configuration: penstock serve -c FILE (to try it out: penstock dev)");
    struct config *config = malloc(sizeof *config);
    struct buffer complaints = BUFFER_EMPTY;
    enum err failed = config ? config_load(call->flags[FLAG_CONFIG], environ, config, &complaints) : ERR_NO_MEMORY;
    if (failed) {
        free(config);
        return print_complaints(failed, &complaints);
    }
    buffer_done(&complaints);
    if (call->flags[FLAG_TAKE_OVER] && (config->queue_kind != CONFIG_QUEUE_RABBITMQ || !config->roles.delivery)) {
        free(config);
        return command_fail(
            ERR_USAGE, "serve: --take-over is for a gateway with delivery in its roles and queue.kind: rabbitmq");
    }
    failed = process_begin();
    int code = err_exit_code(failed);
    if (!failed) {
        code = process_run(
            &(struct process){.gateway = {.config = config, .take_over = call->flags[FLAG_TAKE_OVER] != NULL},
                .config = config,
                .config_file = call->flags[FLAG_CONFIG]});
        process_end();
    }
    free(config);
    return code;
}
