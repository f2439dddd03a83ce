/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `penstock dev`: a gateway to try out. It makes a demo partner, account and endpoint if they are
 * missing. The URL of the endpoint is the one of the built-in sink, whose port changes from run to
 * run, unless the operator has set another URL. keys/dev.json keeps the API key, of which the
 * database has only the hash, and the last URL of the sink.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "http/rejections.h"
#include "main/commands.h"
#include "main/process.h"
#include "main/sink.h"
#include "runtime/log.h"
#include "runtime/rcu.h"
#include "runtime/small_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define PARTNER "partner_demo"
#define ACCOUNT "acc_demo"
#define ENDPOINT_NAME "sink"
#define STATE_FILE "keys/dev.json"

extern char **environ;

struct dev {
    struct config config;
    const char *ready_file;
    struct sink *sink;
    char api_key[64];
    uint64_t endpoint;
    char sink_url_before[URL_BYTES_MAX + 1]; /* the URL that the last run gave the endpoint */
    char secret[SECRET_TEXT_BYTES];
};

static bool use_colour;

/* One line per attempt, for people. */
static void on_report(const struct delivery_report *report)
{
    const struct event_parts *parts = &report->event->parts;
    bool good = report->verdict == VERDICT_DELIVERED;
    char when[CLOCK_TEXT_BYTES], id[EVENT_ID_TEXT_BYTES], result[64];
    clock_format_rfc3339(clock_wall_us(), when);
    event_id_format(&parts->id, id);
    if (report->end.http_status)
        snprintf(result, sizeof result, "%d", report->end.http_status);
    else
        snprintf(result, sizeof result, "%s", err_name(report->end.error));
    log_write(LOG_LIVE, "%.12s  %.*s -> %.*s -> %s  %.*s%s%.*s%s%.*s  %s%s%s  %.1f ms%s  %s",
        when + 11, SLICE_ARGS(parts->partner), SLICE_ARGS(parts->account), report->endpoint_name,
        SLICE_ARGS(parts->type), parts->amount.len ? " " : "", SLICE_ARGS(parts->amount),
        parts->currency.len ? " " : "", SLICE_ARGS(parts->currency),
        use_colour ? (good ? "\033[32m" : "\033[31m") : "", result, use_colour ? "\033[0m" : "",
        (double)(good ? report->since_accepted_us : report->duration_us) / 1000.0,
        good                               ? ""
        : report->verdict == VERDICT_RETRY ? ", is retried"
        : report->verdict == VERDICT_DEAD  ? ", dead"
                                           : ", parked",
        id);
}

/* One line per rejected post: what is wrong first, and its request id, as the answer has it. */
static void on_rejection(const char *partner, const struct rejection *rejection)
{
    char when[CLOCK_TEXT_BYTES];
    const char *pointer = "", *detail = rejection->detail;
    size_t at = 0;
    clock_format_rfc3339(rejection->at_us, when);
    rejection_next_problem(rejection, &at, &pointer, &detail);
    log_write(LOG_LIVE, "%.12s  %s -> %s  %s%s%s%d %s%s  %s%s%s  %s", when + 11, partner,
        *rejection->account ? rejection->account : "-", rejection->type,
        *rejection->type ? "  " : "", use_colour ? "\033[31m" : "",
        err_http_status(rejection->error), err_name(rejection->error), use_colour ? "\033[0m" : "",
        pointer, *pointer ? " " : "", detail, rejection->request_id);
}

static void load_state(struct dev *dev, const struct installation *installation)
{
    struct buffer text = BUFFER_EMPTY;
    const char *api_key = NULL, *endpoint = NULL, *sink = NULL;
    json_t *state = NULL;
    if (small_file_read(installation->directory, STATE_FILE, 65536, &text) == OK)
        state = json_loadb(text.data, text.len, 0, NULL);
    if (state && json_unpack(state, "{s:s, s:s, s:s}", "api_key", &api_key, "endpoint", &endpoint,
                     "sink", &sink) == 0) {
        snprintf(dev->api_key, sizeof dev->api_key, "%s", api_key);
        snprintf(dev->sink_url_before, sizeof dev->sink_url_before, "%s", sink);
        if (!endpoint_id_parse(slice_from_string(endpoint), &dev->endpoint))
            dev->endpoint = 0;
    }
    json_decref(state);
    buffer_done(&text);
}

static enum err save_state(const struct dev *dev, const struct installation *installation)
{
    char endpoint[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(dev->endpoint, endpoint);
    json_t *state = json_pack("{s:s, s:s, s:s}", "api_key", dev->api_key, "endpoint", endpoint,
        "sink", sink_url(dev->sink));
    char *text = state ? json_dumps(state, JSON_INDENT(2)) : NULL;
    json_decref(state);
    enum err result =
        text ? small_file_write(installation->directory, STATE_FILE, slice_from_string(text))
             : ERR_NO_MEMORY;
    free(text);
    return result;
}

/* Makes one change; an object that exists already is fine. */
static enum err ensure(struct accounts *accounts, struct accounts_request *request)
{
    snprintf(request->partner, sizeof request->partner, "%s", PARTNER);
    snprintf(request->account, sizeof request->account, "%s", ACCOUNT);
    enum err result = accounts_call(accounts, request);
    return result == ERR_EXISTS ? OK : result;
}

static void make_key(struct dev *dev)
{
    unsigned char random[24];
    crypto_random(random, sizeof random);
    memcpy(dev->api_key, "pk_", 3);
    base64_encode(slice_of(random, sizeof random), true, dev->api_key + 3);
}

static enum err add_key(struct dev *dev, struct accounts *accounts, bool *ret_is_known)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_CREDENTIAL};
    crypto_sha256(slice_from_string(dev->api_key), request.credential_sha256);
    enum err err = ensure(accounts, &request);
    rcu_go_online();
    *ret_is_known = directory_partner_of_credential(
                        accounts_directory(accounts), request.credential_sha256) != NULL;
    rcu_go_offline();
    return err;
}

static enum err ensure_key(struct dev *dev, struct accounts *accounts)
{
    bool is_known;
    if (dev->api_key[0] == '\0')
        make_key(dev);
    enum err err = add_key(dev, accounts, &is_known);
    if (err || is_known)
        return err;
    make_key(dev); /* the old key has been revoked, and stays so */
    return add_key(dev, accounts, &is_known);
}

/* Reads the demo endpoint from the directory; false when it does not exist. */
static bool read_endpoint(struct dev *dev, const struct accounts *accounts, bool *ret_is_ours)
{
    rcu_go_online();
    const struct endpoint *endpoint =
        directory_endpoint(accounts_directory(accounts), dev->endpoint);
    bool found = endpoint != NULL;
    if (found) {
        secret_format(&endpoint->secrets[0], dev->secret);
        *ret_is_ours = strcmp(endpoint->url, dev->sink_url_before) == 0;
    }
    rcu_go_offline();
    return found;
}

static enum err ensure_endpoint(struct dev *dev, struct accounts *accounts)
{
    bool is_ours = false;
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_ENDPOINT};
    snprintf(request.endpoint.url, sizeof request.endpoint.url, "%s", sink_url(dev->sink));
    if (dev->endpoint && read_endpoint(dev, accounts, &is_ours)) {
        if (!is_ours)
            return OK;
        request.base.kind = ACCOUNTS_CHANGE_ENDPOINT;
        request.endpoint_id = dev->endpoint;
        request.changes = ENDPOINT_CHANGE_URL;
        return ensure(accounts, &request);
    }
    snprintf(request.endpoint.name, sizeof request.endpoint.name, ENDPOINT_NAME);
    request.endpoint.enabled = true;
    secret_make(&request.endpoint.secrets[0]);
    request.endpoint.secrets_count = 1;
    enum err err = ensure(accounts, &request);
    dev->endpoint = request.ret_endpoint;
    secret_format(&request.endpoint.secrets[0], dev->secret);
    return err;
}

static enum err prepare(
    struct accounts *accounts, const struct installation *installation, void *context)
{
    struct dev *dev = context;
    load_state(dev, installation);
    enum err err = ensure(accounts, &(struct accounts_request){.base.kind = ACCOUNTS_ADD_PARTNER});
    if (!err)
        err = ensure(accounts, &(struct accounts_request){.base.kind = ACCOUNTS_ADD_ACCOUNT});
    if (!err)
        err = ensure(accounts, &(struct accounts_request){.base.kind = ACCOUNTS_GRANT});
    if (!err)
        err = ensure_key(dev, accounts);
    if (!err)
        err = ensure_endpoint(dev, accounts);
    return err ? err : save_state(dev, installation);
}

static enum err write_ready_file(const struct dev *dev, const struct gateway *gateway)
{
    char endpoint[ENDPOINT_ID_TEXT_BYTES], temporary[4200];
    endpoint_id_format(dev->endpoint, endpoint);
    json_t *ready = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ingress",
        gateway_ingress_url(gateway), "admin", gateway_admin_url(gateway), "api_key", dev->api_key,
        "admin_token", gateway_installation(gateway)->admin_token, "account", ACCOUNT, "endpoint",
        endpoint, "sink", sink_url(dev->sink), "endpoint_secret", dev->secret);
    if (*gateway_ingress_tls_url(gateway))
        json_object_set_new(ready, "ingress_tls", json_string(gateway_ingress_tls_url(gateway)));
    if (*gateway_admin_tls_url(gateway))
        json_object_set_new(ready, "admin_tls", json_string(gateway_admin_tls_url(gateway)));
    snprintf(temporary, sizeof temporary, "%s.new", dev->ready_file);
    bool written = ready && json_dump_file(ready, temporary, JSON_INDENT(2)) == 0 &&
                   rename(temporary, dev->ready_file) == 0;
    json_decref(ready);
    if (!written)
        log_error("--ready-file: %s cannot be written: %s", dev->ready_file, strerror(errno));
    return written ? OK : ERR_SYSTEM;
}

/* Printed line by line through the log, which never waits for a terminal. */
static void print_welcome(const struct dev *dev, const struct gateway *gateway)
{
    char endpoint[ENDPOINT_ID_TEXT_BYTES], dev_directory[4001];
    endpoint_id_format(dev->endpoint, endpoint);
    /* The command must also work in another directory, and without this environment. */
    config_dev_directory(dev_directory, sizeof dev_directory);
    bool is_default = strcmp(dev->config.data_directory, dev_directory) == 0;
    char *directory = realpath(dev->config.data_directory, NULL);
    if (!directory)
        directory = memory_copy_string(dev->config.data_directory);
    struct buffer text = BUFFER_EMPTY;
    buffer_add_format(&text,
        "\nPenstock %s is ready.\n\n"
        "  partners post to  %s/v1/events\n"
        "  the admin API is  %s (the token is in %s/keys/admin.token)\n"
        "  webhooks to the demo endpoint %s of %s are signed with %s\n\n"
        "Post a purchase. Each event needs its own id; a repeated id is a duplicate:\n\n"
        "  curl --http2-prior-knowledge %s/v1/events -H 'Authorization: Bearer %s' "
        "-H 'Content-Type: application/json' "
        "-d '{\"id\":\"order-1\",\"type\":\"purchase\",\"account\":\"" ACCOUNT
        "\",\"amount\":\"129.90\",\"currency\":\"EUR\"}'\n\n"
        "To see its history, use the evt_ id of the answer:\n\n"
        "  %s event show EVENT%s%s%s\n\n"
        "Stop with Ctrl-C. Deliveries and rejected posts are shown below as they happen.\n\n",
        PENSTOCK_VERSION, gateway_ingress_url(gateway), gateway_admin_url(gateway),
        dev->config.data_directory, endpoint, ACCOUNT, dev->secret, gateway_ingress_url(gateway),
        dev->api_key, program_invocation_name, is_default ? "" : " --data '",
        is_default ? "" : directory, is_default ? "" : "'");
    free(directory);
    for (const char *line = text.data; line && *line;) {
        int len = (int)strcspn(line, "\n");
        log_write(LOG_LIVE, "%.*s", len, line);
        line += len + (line[len] == '\n');
    }
    buffer_done(&text);
}

static enum err on_ready(struct gateway *gateway, void *context)
{
    struct dev *dev = context;
    print_welcome(dev, gateway);
    return dev->ready_file ? write_ready_file(dev, gateway) : OK;
}

/* Sets an option to the flag, or to the default of dev if the environment has no value. */
static enum err set_option(struct config *config, const char *key, const char *variable,
    const char *flag, const char *fallback, struct buffer *complaints)
{
    if (flag)
        return config_set(config, key, flag, complaints);
    return getenv(variable) ? OK : config_set(config, key, fallback, complaints);
}

static enum err load_config(
    struct dev *dev, const struct invocation *call, struct buffer *complaints)
{
    char directory[4001];
    config_dev_directory(directory, sizeof directory);
    struct config *config = &dev->config;
    enum err err = process_load(NULL, config, complaints);
    if (!err)
        err = set_option(config, "data.directory", "PENSTOCK_DATA__DIRECTORY",
            call->flags[FLAG_DATA], directory, complaints);
    if (!err)
        err = set_option(config, "ingress.listen", "PENSTOCK_INGRESS__LISTEN",
            call->flags[FLAG_INGRESS], "127.0.0.1:8080", complaints);
    if (!err)
        err = set_option(config, "admin.listen", "PENSTOCK_ADMIN__LISTEN", call->flags[FLAG_ADMIN],
            "127.0.0.1:9640", complaints);
    if (!err)
        err = set_option(config, "delivery.allow_http", "PENSTOCK_DELIVERY__ALLOW_HTTP", NULL,
            "true", complaints);
    if (!err)
        err = set_option(config, "delivery.allow_networks", "PENSTOCK_DELIVERY__ALLOW_NETWORKS",
            NULL, "127.0.0.0/8,::1/128", complaints);
    return err;
}

static void on_stopped(void *context)
{
    struct dev *dev = context;
    sink_stop(dev->sink);
    dev->sink = NULL;
}

static int run(struct dev *dev)
{
    enum err err = sink_start(&dev->sink);
    if (err)
        return command_fail(
            err, "dev: the demo sink cannot listen on 127.0.0.1: %s", err_title(err));
    int code = process_run(&(struct process){
        .gateway = {.config = &dev->config,
            .is_demo = true,
            .on_report = on_report,
            .on_rejection = on_rejection,
            .prepare = prepare,
            .context = dev},
        .config = &dev->config,
        .on_ready = on_ready,
        .on_stopped = on_stopped,
    });
    sink_stop(dev->sink);
    return code;
}

int command_dev(const struct invocation *call)
{
    struct dev *dev;
    MEMORY_NEW(dev);
    dev->ready_file = call->flags[FLAG_READY_FILE];
    use_colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    struct buffer complaints = BUFFER_EMPTY;
    enum err err = load_config(dev, call, &complaints);
    int code = err_exit_code(err);
    if (err && complaints.len)
        fwrite(complaints.data, 1, complaints.len, stderr);
    buffer_done(&complaints);
    if (!err && (err = process_begin(&dev->config)) != OK) {
        code = command_fail(err, "dev: the log cannot be started: %s", err_title(err));
    } else if (!err) {
        code = run(dev);
        process_end();
    }
    free(dev);
    return code;
}
