/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals are blocked in all threads, and main takes them with sigtimedwait: SIGTERM and SIGINT
 * stop the gateway, SIGHUP reloads. Without a signal for 10 s, main looks for changed certificates.
 * During the stop a second SIGTERM or SIGINT ends the process at once: events that were answered
 * with 200 are durable in either case.
 */
#include "main/process.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"
#include "client/address_guard.h"
#include "http/server.h"
#include "runtime/core_dumps.h"
#include "runtime/descriptors.h"
#include "runtime/log.h"
#include "runtime/log_output.h"
#include "runtime/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#define LOOK_S 10 /* between two looks at files that others change */

extern char **environ;

static void check_networks(
    const char *key, const struct config_networks *networks, struct complaints *complaints)
{
    for (unsigned i = 0; i < networks->count; i++) {
        struct network network;
        if (!network_parse(slice_from_string(networks->texts[i]), &network))
            config_complain(complaints, key,
                "\"%s\" is not a network: write it like 10.0.0.0/8, with host bits of 0",
                networks->texts[i]);
    }
}

/* Checks that config/ cannot make, since adapters parse addresses and networks. */
static void check_addresses(const struct config *config, struct complaints *complaints)
{
    const struct {
        const char *key, *text;
    } listens[] = {{"ingress.listen", config->ingress_listen},
        {"ingress.tls_listen", config->ingress_tls_listen}, {"admin.listen", config->admin_listen},
        {"admin.tls_listen", config->admin_tls_listen}};
    struct sockaddr_storage address;
    socklen_t len;
    const char *problem = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(listens); i++)
        if (*listens[i].text && !http_parse_address(listens[i].text, &address, &len, &problem))
            config_complain(complaints, listens[i].key, "\"%s\" %s", listens[i].text, problem);
    if (!config->admin_allow_cleartext &&
        http_parse_address(config->admin_listen, &address, &len, &problem) &&
        !http_is_loopback(&address))
        config_complain(complaints, "admin.listen", GATEWAY_ADMIN_CLEARTEXT, config->admin_listen);
    check_networks("delivery.allow_networks", &config->allow_networks, complaints);
    check_networks("ingress.proxies", &config->ingress_proxies, complaints);
    if (config->ingress_proxy_protocol && config->ingress_proxies.count == 0)
        config_complain(complaints, "ingress.proxy_protocol",
            "has no effect without proxies: set ingress.proxies to their networks");
    check_networks("ingress.address_exempt", &config->address_exempt, complaints);
}

/* `dev` may use a relative directory; a service must not depend on where it is started. */
static void check_of_service(const struct config *config, struct complaints *complaints)
{
    check_addresses(config, complaints);
    if (*config->data_directory != '/')
        config_complain(complaints, "data.directory",
            "\"%s\" is relative to the directory in which the gateway is started: write it with a "
            "leading /",
            config->data_directory);
}

enum err process_load(const char *file, struct config *ret_config, struct buffer *complaints)
{
    return config_load_to_run(
        file, environ, file ? check_of_service : check_addresses, ret_config, complaints);
}

static void wanted_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGHUP);
}

enum err process_begin(const struct config *config)
{
    sigset_t set;
    wanted_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(0077); /* journals hold bodies, the ready file has credentials: for this user only */
    enum err err = log_output_capture();
    if (!err)
        err = log_start();
    if (!err && !config->core_dumps)
        core_dumps_forbid();
    if (!err)
        thread_adopt_main();
    else
        log_output_release();
    return err;
}

void process_end(void)
{
    thread_leave_main();
    log_stop();
}

static void on_second_signal(int number)
{
    static const char text[] = "penstock: a second signal: the process ends at once\n";
    /* NOLINTNEXTLINE(bugprone-signal-handler): it polls, reads and writes only */
    log_output_last_words(text, sizeof text - 1);
    _exit(EX_TEMPFAIL);
}

static void allow_second_signal(void)
{
    signal(SIGTERM, on_second_signal);
    signal(SIGINT, on_second_signal);
    sigset_t set;
    wanted_signals(&set);
    sigdelset(&set, SIGHUP);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Each complaint is a line, and becomes a line of the log. */
static void log_complaints(const struct buffer *complaints)
{
    for (const char *line = complaints->data; line && *line;) {
        int len = (int)strcspn(line, "\n");
        log_error("%.*s", len, line);
        line += len + (line[len] == '\n');
    }
}

static void reload(const struct process *process, struct gateway *gateway)
{
    struct config *fresh = memory_new_raw(sizeof *fresh);
    struct buffer text = BUFFER_EMPTY;
    if (process_load(process->config_file, fresh, &text) == OK) {
        buffer_clear(&text);
        config_reload(process->config, fresh, &text);
        gateway_reload(gateway, process->config);
        log_info("configuration reloaded%s%s",
            text.len ? "; these options have changed and need a restart: " : "",
            text.len ? text.data : "");
    } else {
        log_complaints(&text);
        log_error("the configuration is not reloaded, and the old one remains: correct the file "
                  "and send SIGHUP again");
    }
    buffer_done(&text);
    free(fresh);
}

/* Returns when the gateway must stop. */
static void wait_for_signals(const struct process *process, struct gateway *gateway)
{
    static const struct timespec pause = {.tv_sec = LOOK_S};
    sigset_t set;
    wanted_signals(&set);
    for (;;) {
        int number = sigtimedwait(&set, NULL, &pause);
        if (number < 0) {
            if (errno == EAGAIN)
                gateway_look(gateway);
            continue;
        }
        if (number == SIGHUP) {
            reload(process, gateway);
            continue;
        }
        log_info("stopping: %s",
            gateway_has_failed(gateway) ? "a journal has failed" : strsignal(number));
        return;
    }
}

static const char *or_none(const char *url)
{
    return *url ? url : "none";
}

int process_run(const struct process *process)
{
    struct buffer complaints = BUFFER_EMPTY;
    struct gateway *gateway = NULL;
    log_set_level((enum log_level)process->config->log_level);
    int64_t started_us = clock_mono_us();
    descriptors_raise();
    enum err err = gateway_start(&process->gateway, &gateway, &complaints);
    if (err) {
        log_complaints(&complaints);
        buffer_done(&complaints);
        return err_exit_code(err);
    }
    buffer_done(&complaints);
    log_info("ready ingress=%s ingress_tls=%s admin=%s admin_tls=%s data=%s started_in_ms=%lld",
        gateway_ingress_url(gateway), or_none(gateway_ingress_tls_url(gateway)),
        gateway_admin_url(gateway), or_none(gateway_admin_tls_url(gateway)),
        process->config->data_directory, (long long)(clock_mono_us() - started_us) / 1000);
    if (process->on_ready)
        err = process->on_ready(gateway, process->gateway.context);
    if (!err)
        wait_for_signals(process, gateway);
    allow_second_signal();
    bool broken = gateway_has_failed(gateway);
    gateway_stop(gateway, process->config->drain_us);
    if (process->on_stopped)
        process->on_stopped(process->gateway.context);
    log_info("stopped");
    return err ? err_exit_code(err) : broken ? EX_TEMPFAIL : EX_OK;
}
