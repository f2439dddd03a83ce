/* SPDX-License-Identifier: Apache-2.0 */
/* The process around a gateway, for `serve` and `dev`: signals, reload, and the stop with its
 * second signal. */
#ifndef PENSTOCK_MAIN_PROCESS_H
#define PENSTOCK_MAIN_PROCESS_H

#include "main/gateway.h"

struct process {
    struct gateway_options gateway;
    struct config *config;   /* the gateway's; a reload changes it */
    const char *config_file; /* SIGHUP reads it again; NULL: only the environment */
    /* Called when the gateway is ready; an error ends the process. May be NULL. */
    enum err (*on_ready)(struct gateway *gateway, void *context);
    void (*on_stopped)(void *context); /* may be NULL */
};

/*
 * Loads the configuration of a gateway and checks everything that can be checked before it runs.
 * For `check`, `serve`, a reload, and `dev` (`file` NULL). ERR_CONFIG, with one line for each
 * problem.
 */
enum err process_load(
    const char *file, struct config *ret_config, struct buffer *complaints) MUST_CHECK;

/* Call before any thread is started: blocks the signals, keeps the memory private, starts the log,
 * registers this thread. */
enum err process_begin(const struct config *config) MUST_CHECK;
/* Starts the gateway, waits for SIGTERM or SIGINT, drains, stops. Returns the exit code. */
int process_run(const struct process *process);
void process_end(void);

#endif
