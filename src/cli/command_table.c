/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command table. Help, usage and the arguments that are accepted come from it.
 *
 * Most commands are one request to the admin API: their row has the method, the path and the
 * function that prints the answer (request.h).
 */
#include "base/cleanup.h"
#include "cli/audit.h"
#include "cli/command.h"
#include "cli/endpoint_test.h"
#include "cli/lag.h"
#include "cli/lists.h"
#include "cli/print_answer.h"
#include "cli/replay.h"
#include "cli/request.h"
#include "cli/status.h"
#include "cli/switches.h"

#define F(flag) FLAG_BIT(flag)
#define REMOTE (F(FLAG_CONFIG) | F(FLAG_DATA) | F(FLAG_JSON))
/* What selects the deliveries of a replay. */
#define SELECTED                                                                           \
    (F(FLAG_ACCOUNT) | F(FLAG_PARTNER) | F(FLAG_ENDPOINT) | F(FLAG_TYPE) | F(FLAG_STATE) | \
        F(FLAG_PARK_REASON) | F(FLAG_CURRENCY) | F(FLAG_SINCE) | F(FLAG_UNTIL))
#define REPLAY (SELECTED | F(FLAG_RATE) | F(FLAG_DRY_RUN) | F(FLAG_REASON))
#define ACTION (F(FLAG_EXPECT) | REPLAY)
#define SETTINGS \
    (F(FLAG_URL) | F(FLAG_TYPES) | F(FLAG_IDEMPOTENT) | F(FLAG_FINAL_4XX) | F(FLAG_POLICY))

#define RULES                                                                      \
    (F(FLAG_EVENTS_PER_SECOND) | F(FLAG_EVENTS_BURST) | F(FLAG_BYTES_PER_SECOND) | \
        F(FLAG_BYTES_BURST) | F(FLAG_ALLOW_NETWORKS) | F(FLAG_CERTIFICATES) |      \
        F(FLAG_CERTIFICATE_REQUIRED))

#define EVENTS                                                                           \
    (F(FLAG_PARTNER) | F(FLAG_ACCOUNT) | F(FLAG_TYPE) | F(FLAG_CLASS) | F(FLAG_AMOUNT) | \
        F(FLAG_CURRENCY) | F(FLAG_SINCE) | F(FLAG_UNTIL))

#define PARTNERS "/api/v1/partners"
#define ACCOUNTS "/api/v1/accounts"
#define DELIVERIES "/api/v1/deliveries"
#define REPLAYS "/api/v1/replays"

static int run_dev(const struct invocation *call)
{
    return call->gateway->dev(call);
}

static int run_serve(const struct invocation *call)
{
    return call->gateway->serve(call);
}

static int run_check(const struct invocation *call)
{
    return call->gateway->check(call);
}

static int run_accept_loss(const struct invocation *call)
{
    return call->gateway->accept_loss(call);
}

#define REQUEST(method_, path_, print_) \
    .run = request_run, .method = (method_), .path = (path_), .print = (print_)
/* The last argument is a member of the body. */
#define REQUEST_OF(method_, path_, member_, print_) \
    REQUEST(method_, path_, print_), .member = (member_)

const struct command command_rows[] = {
    {"dev", "", 0, 0, F(FLAG_INGRESS) | F(FLAG_ADMIN) | F(FLAG_DATA) | F(FLAG_READY_FILE), 0,
        "Run a gateway to try Penstock out, with a demo partner, account, endpoint and test client",
        run_dev},
    {"serve", "", 0, 0, F(FLAG_CONFIG) | F(FLAG_TAKE_OVER) | F(FLAG_DELIVERIES_OFF), F(FLAG_CONFIG),
        "Run the gateway", run_serve},
    {"check", "", 0, 0, F(FLAG_CONFIG) | F(FLAG_SAMPLE), 0,
        "Check a configuration file, or print a sample with --sample", run_check},
    {"data accept-loss", "FILE", 1, 1, F(FLAG_CONFIG) | F(FLAG_DATA) | F(FLAG_REASON),
        F(FLAG_REASON),
        "Accept the loss of a file of the data directory. `penstock audit` then lists the file",
        run_accept_loss},
    {"status", "", 0, 0, REMOTE | F(FLAG_WATCH), 0,
        "Show what is wrong, the rates, the backlog, and the worst endpoints", command_status},
    {"switch list", "", 0, 0, REMOTE | F(FLAG_HISTORY), 0,
        "List the switches: since when and why they are off", command_switch_list},
    {"switch", "SWITCH on|off", 2, 2,
        REMOTE | F(FLAG_SWITCH_ACCOUNT) | F(FLAG_SWITCH_ENDPOINT) | F(FLAG_REASON), F(FLAG_REASON),
        "Switch deliveries, retries, ingress or optional off, or on again, at once",
        command_switch},
    {"event show", "EVENT|KEY", 1, 1, REMOTE | F(FLAG_PARTNER) | F(FLAG_ACCOUNT), 0,
        "Show the timeline of an event: by its id, or by the partner's own id (the key)",
        command_event_show, "GET", "/api/v1/events/%1", .print = show_event},
    {"event list", "", 0, 0,
        REMOTE | EVENTS | F(FLAG_KEY) | F(FLAG_DAY) | F(FLAG_STATE) | F(FLAG_PARK_REASON) |
            F(FLAG_ENDPOINT) | F(FLAG_LIMIT),
        0, "List events, the newest first", command_event_list},
    {"event find", "KEY|EVENT", 1, 1,
        REMOTE | F(FLAG_PARTNER) | F(FLAG_ACCOUNT) | F(FLAG_TYPE) | F(FLAG_LIMIT), 0,
        "Find events by the partner's own id (the key)", command_event_find},
    {"event conflicts", "[EVENT]", 0, 1, REMOTE | F(FLAG_ACCOUNT) | F(FLAG_DAY) | F(FLAG_LIMIT), 0,
        "List posts that used the key of an accepted event with a different amount or currency",
        command_event_conflicts},
    {"event poison", "", 0, 0, REMOTE | F(FLAG_LIMIT), 0,
        "List messages of the broker that are not valid events; --json shows their bytes",
        command_event_poison},
    {"delivery list", "", 0, 0,
        REMOTE | EVENTS | F(FLAG_STATE) | F(FLAG_PARK_REASON) | F(FLAG_CAUSE) | F(FLAG_ENDPOINT) |
            F(FLAG_DAY) | F(FLAG_KEY) | F(FLAG_LIMIT),
        0, "List deliveries", command_delivery_list},
    {"delivery show", "DELIVERY", 1, 1, REMOTE, 0,
        "Show a delivery with its attempts and operator actions",
        REQUEST("GET", DELIVERIES "/%1", show_delivery)},
    {"delivery retry", "[DELIVERY...]", 0, COMMAND_WORDS_MAX,
        REMOTE | F(FLAG_TO_ENDPOINT) | F(FLAG_GUARDED) | F(FLAG_FORCE) | ACTION, 0,
        "Send waiting, parked or dead deliveries now: those with these ids, or all that the flags "
        "select (a replay). With --force, also delivered ones",
        command_delivery_act, "POST", DELIVERIES, .print = show_action,
        .timeout_s = REPLAY_TIMEOUT_S},
    {"delivery discard", "[DELIVERY...]", 0, COMMAND_WORDS_MAX, REMOTE | F(FLAG_GUARDED) | ACTION,
        0,
        "Discard waiting, parked or dead deliveries: they are not sent any more. Give their ids, "
        "or flags that select them",
        command_delivery_act, "POST", DELIVERIES, .print = show_action,
        .timeout_s = REPLAY_TIMEOUT_S},
    {"delivery resolve", "[DELIVERY...]", 0, COMMAND_WORDS_MAX, REMOTE | F(FLAG_AS) | ACTION,
        F(FLAG_AS),
        "Record the result of parked deliveries. Give their ids, or flags that select them",
        command_delivery_act, "POST", DELIVERIES, .print = show_action,
        .timeout_s = REPLAY_TIMEOUT_S},
    {"replay create", "", 0, 0, REMOTE | F(FLAG_GUARDED) | F(FLAG_FORCE) | REPLAY, 0,
        "Send again all deliveries that the flags select, at a rate (default: dead ones). See "
        "--dry-run",
        REQUEST("POST", REPLAYS, show_replay), .timeout_s = REPLAY_TIMEOUT_S},
    {"replay list", "", 0, 0, REMOTE, 0, "List the replays, the newest first",
        REQUEST("GET", REPLAYS, show_replays)},
    {"replay show", "REPLAY", 1, 1, REMOTE, 0, "Show a replay and its progress",
        REQUEST("GET", REPLAYS "/%1", show_replay)},
    {"replay pause", "REPLAY", 1, 1, REMOTE, 0, "Pause a replay", command_replay_pause},
    {"replay resume", "REPLAY", 1, 1, REMOTE | F(FLAG_RATE), 0,
        "Resume a replay, or change its rate", command_replay_resume},
    {"replay cancel", "REPLAY", 1, 1, REMOTE, 0,
        "Cancel a replay. What it has handed over already is still sent", command_replay_cancel},
    {"operator-event list", "", 0, 0, REMOTE, 0,
        "List the last operator events of this gateway, the newest first",
        REQUEST("GET", "/api/v1/operator-events", show_operator_events)},
    {"audit", "", 0, 0, REMOTE | F(FLAG_FROM) | F(FLAG_TO) | F(FLAG_ACCOUNT) | F(FLAG_BODIES), 0,
        "Compare the accepted events with their deliveries, and check all totals", command_audit},
    {"partner add", "PARTNER", 1, 1, REMOTE, 0, "Add a partner and show its first API key",
        request_add_partner, "POST", PARTNERS, "id", show_members},
    {"partner list", "", 0, 0, REMOTE, 0, "List the partners", REQUEST("GET", PARTNERS, show_list)},
    {"partner show", "PARTNER", 1, 1, REMOTE, 0, "Show a partner, its keys and its secrets",
        REQUEST("GET", PARTNERS "/%1", show_partner)},
    {"partner change", "PARTNER", 1, 1, REMOTE | F(FLAG_ENABLED) | F(FLAG_KEY_POINTER) | RULES, 0,
        "Disable or enable a partner, or change its limits, networks, certificates or key field",
        REQUEST("PATCH", PARTNERS "/%1", show_partner)},
    {"partner key", "PARTNER", 1, 1,
        REMOTE | F(FLAG_LABEL) | F(FLAG_EXPIRES_AT) | F(FLAG_KEY_ACCOUNTS) | F(FLAG_KEY_TYPES), 0,
        "Make one more API key and show it once",
        REQUEST("POST", PARTNERS "/%1/keys", show_members)},
    {"partner key-change", "PARTNER KEY", 2, 2, REMOTE | F(FLAG_LABEL) | F(FLAG_EXPIRES_AT), 0,
        "Change the label or the end of an API key",
        REQUEST("PATCH", PARTNERS "/%1/keys/%2", show_members)},
    {"partner key-remove", "PARTNER KEY", 2, 2, REMOTE, 0, "Revoke an API key",
        REQUEST("DELETE", PARTNERS "/%1/keys/%2", show_members)},
    {"partner secret", "PARTNER", 1, 1, REMOTE | F(FLAG_SECRET), 0,
        "Make a signing secret, or use the one given with --secret, and show it once",
        REQUEST("POST", PARTNERS "/%1/secrets", show_members)},
    {"partner secret-remove", "PARTNER SECRET", 2, 2, REMOTE, 0, "Remove a secret of a partner",
        REQUEST("DELETE", PARTNERS "/%1/secrets/%2", show_members)},
    {"partner accounts", "PARTNER", 1, 1, REMOTE, 0,
        "List the accounts that a partner may post for",
        REQUEST("GET", PARTNERS "/%1/accounts", show_list)},
    {"partner rejections", "PARTNER", 1, 1, REMOTE, 0,
        "List the last posts of a partner that this gateway has rejected, the newest first",
        REQUEST("GET", PARTNERS "/%1/rejections", show_rejections)},
    {"partner grant", "PARTNER ACCOUNT", 2, 2, REMOTE, 0, "Allow a partner to post for an account",
        REQUEST_OF("POST", PARTNERS "/%1/accounts", "account", show_members)},
    {"partner revoke", "PARTNER ACCOUNT", 2, 2, REMOTE, 0,
        "Forbid a partner to post for an account",
        REQUEST("DELETE", PARTNERS "/%1/accounts/%2", show_members)},
    {"account add", "ACCOUNT", 1, 1, REMOTE, 0, "Add an account",
        REQUEST_OF("POST", ACCOUNTS, "id", show_members)},
    {"account list", "", 0, 0, REMOTE, 0, "List the accounts", REQUEST("GET", ACCOUNTS, show_list)},
    {"endpoint add", "ACCOUNT", 1, 1, REMOTE | SETTINGS | F(FLAG_NAME), F(FLAG_URL),
        "Add an endpoint to an account and show its signing secret once",
        REQUEST("POST", ACCOUNTS "/%1/endpoints", show_members)},
    {"endpoint list", "[ACCOUNT]", 0, 1, REMOTE | F(FLAG_BACKLOG) | F(FLAG_ACCOUNT) | F(FLAG_LIMIT),
        0, "List the endpoints of an account, or with --backlog those with a backlog, worst first",
        command_endpoint_list},
    {"endpoint show", "ACCOUNT ENDPOINT", 2, 2, REMOTE, 0, "Show an endpoint",
        REQUEST("GET", ACCOUNTS "/%1/endpoints/%2", show_members)},
    {"endpoint test", "ACCOUNT ENDPOINT", 2, 2, REMOTE, 0,
        "Send a marked test event to an endpoint, and show the connection and the answer",
        REQUEST("POST", ACCOUNTS "/%1/endpoints/%2/test", show_endpoint_test),
        .judge = endpoint_test_exit_code, .timeout_s = ENDPOINT_TEST_TIMEOUT_S},
    {"endpoint change", "ACCOUNT ENDPOINT", 2, 2,
        REMOTE | SETTINGS | F(FLAG_ENDPOINT_ENABLED) | F(FLAG_REASON), 0,
        "Change the URL, the settings or the policy of an endpoint, or disable or enable it",
        REQUEST("PATCH", ACCOUNTS "/%1/endpoints/%2", show_members)},
    {"endpoint remove", "ACCOUNT ENDPOINT", 2, 2, REMOTE, 0,
        "Remove an endpoint and park its deliveries that are still to be sent",
        REQUEST("DELETE", ACCOUNTS "/%1/endpoints/%2", show_members)},
    {"endpoint secret", "ACCOUNT ENDPOINT", 2, 2, REMOTE | F(FLAG_SECRET), 0,
        "Make a signing secret, or use the one given with --secret, and show it once",
        REQUEST("POST", ACCOUNTS "/%1/endpoints/%2/secrets", show_members)},
    {"endpoint secret-remove", "ACCOUNT ENDPOINT SECRET", 3, 3, REMOTE, 0,
        "Remove a signing secret",
        REQUEST("DELETE", ACCOUNTS "/%1/endpoints/%2/secrets/%3", show_members)},
};

const size_t command_count = ARRAY_LENGTH(command_rows);
