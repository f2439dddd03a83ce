/* SPDX-License-Identifier: Apache-2.0 */
/* What `serve` and `dev` have in common: the process around a gateway: signals, reload, the drain
 * and its second signal. */
#ifndef PENSTOCK_MAIN_PROCESS_H
#define PENSTOCK_MAIN_PROCESS_H

#include "main/gateway.h"

struct process {
    struct gateway_options gateway;
    struct config *config;   /* the gateway's; a reload changes it */
    const char *config_file; /* what SIGHUP reads again; NULL: only the environment */
    /* After the gateway is ready; an error ends the process. May be NULL. */
    enum err (*on_ready)(struct gateway *gateway, void *context);
    void (*on_stopped)(void *context); /* may be NULL */
};

/*
 * The configuration of a gateway that is to run, with all that can be known before it does: what
 * `check`, `serve`, `dev` (`file` NULL) and a reload go by. ERR_CONFIG, with one line for each
 * problem.
 */
enum err process_load(
    const char *file, struct config *ret_config, struct buffer *complaints) MUST_CHECK;

/* Before any thread: signals are main's, the log and this thread are known. */
enum err process_begin(void) MUST_CHECK;
/* Starts the gateway, waits for SIGTERM or SIGINT, drains, stops. Returns the exit code. */
int process_run(const struct process *process);
void process_end(void);

#endif
