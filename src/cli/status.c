/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/status.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/lag.h"
#include "cli/print_answer.h"
#include "cli/remote.h"
#include "cli/switches.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define STATUS_PATH "/api/v1/status"
#define WATCH_S_DEFAULT 2
#define CLEAR "\033[H\033[2J" /* the cursor to the top left corner, and an empty screen */

/* In rabbitmq mode: the links to the broker, and how many events are on their way through it. */
static void print_broker(const json_t *status)
{
    size_t i;
    json_t *link_status;
    json_array_foreach(json_object_get(status, "broker"), i, link_status)
    {
        bool good = json_is_true(json_object_get(link_status, "good"));
        bool keeps = strcmp(show_text(link_status, "role"), "keep") == 0;
        printf("  %s %lld%*s%s%s, since %s\n", show_text(link_status, "role"),
            show_number(link_status, "number"), (int)(8 - strlen(show_text(link_status, "role"))),
            "",
            keeps  ? ""
            : good ? "via "
                   : "NOT via the broker: ",
            show_text(link_status, good ? "peer" : "why"), show_text(link_status, "since"));
    }
    if (json_is_null(json_object_get(status, "in_broker")))
        puts("  it is unknown how many events are only in the broker");
    else
        printf("  events that are only in the broker: %lld\n", show_number(status, "in_broker"));
    printf("  unacked %lld, suspended %lld, in the outbox %lld; direct path since start %lld\n",
        show_number(status, "unacked"), show_number(status, "suspended"),
        show_number(status, "outbox"), show_number(status, "direct"));
}

static void print_roles(const json_t *status)
{
    size_t i;
    json_t *role;
    printf("queue         %s; roles ", show_text(status, "queue"));
    json_array_foreach(json_object_get(status, "roles"), i, role)
        printf("%s%s", i ? ", " : "", json_string_value(role));
    putchar('\n');
    if (strcmp(show_text(status, "queue"), "rabbitmq") == 0)
        print_broker(status);
    if (json_is_string(json_object_get(status, "leader")))
        printf("accounts      from %s, %lld s old\n", show_text(status, "leader"),
            show_number(status, "directory_age_seconds"));
}

/* The journals that refuse events, and why. */
static void print_room(const json_t *status)
{
    size_t i, k;
    json_t *journal, *class;
    json_array_foreach(json_object_get(status, "journals"), i, journal)
    {
        if (strcmp(show_text(journal, "reason"), "well") == 0)
            continue;
        printf("journal %-4lld  REFUSES ", show_number(journal, "shard"));
        json_array_foreach(json_object_get(journal, "refuses"), k, class)
            printf("%s%s", k ? ", " : "", json_string_value(class));
        printf(" events: %s", show_text(journal, "reason"));
        if (json_is_integer(json_object_get(journal, "free_bytes")))
            printf(", %.1f MiB free", (double)show_number(journal, "free_bytes") / 1048576.0);
        if (json_is_integer(json_object_get(journal, "wanted_bytes")))
            printf(", accepts more when %.1f MiB are free",
                (double)show_number(journal, "wanted_bytes") / 1048576.0);
        printf(", since %s\n", show_text(journal, "since"));
    }
    if (json_is_string(json_object_get(status, "accounts_trouble")))
        printf("accounts.db   REFUSES changes: %s\n", show_text(status, "accounts_trouble"));
}

/* What is not normal comes first. */
static void print_switches(const json_t *status)
{
    size_t i;
    json_t *it;
    const json_t *list = json_object_get(status, "switches_off");
    json_array_foreach(list, i, it) show_switch(it);
    if (json_array_size(list) > 0)
        putchar('\n');
}

static void print_head(const json_t *status)
{
    long long up = show_number(status, "uptime_seconds");
    printf("penstock %s, %s, up %lldd %02lld:%02lld:%02lld, %lld shard%s, %s\n\n",
        show_text(status, "version"),
        json_is_true(json_object_get(status, "ready")) ? "ready" : "NOT READY", up / 86400,
        up / 3600 % 24, up / 60 % 60, up % 60, show_number(status, "shards"),
        show_number(status, "shards") == 1 ? "" : "s", show_text(status, "at"));
}

static void print_counters(const json_t *status)
{
    const json_t *events = json_object_get(status, "events");
    printf("endpoints     failing %lld, disabled %lld\n", show_number(status, "breakers_open"),
        show_number(status, "endpoints_disabled"));
    printf("since start   accepted %lld, duplicate %lld, conflict %lld, refused %lld, unavailable "
           "%lld\n",
        show_number(events, "accepted"), show_number(events, "duplicate"),
        show_number(events, "conflict"), show_number(events, "refused"),
        show_number(events, "unavailable"));
    printf("              delivered %lld, dead %lld; in flight now %lld\n",
        show_number(status, "delivered"), show_number(status, "dead"),
        show_number(status, "in_flight"));
}

void show_status(const json_t *status)
{
    lag_print_verdict(status);
    print_head(status);
    print_switches(status);
    lag_print_rates(status);
    lag_print_backlog(status);
    lag_print_worst(status);
    lag_print_disk(status);
    print_room(status);
    print_roles(status);
    print_counters(status);
}

/* Watching. */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    interrupted = signal;
}

/* A second one ends the program at once. */
static void catch_interrupt(void)
{
    const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

static int show_once(const struct invocation *call, bool clears)
{
    json_t *status = NULL;
    enum err err = remote_request(call, "GET", STATUS_PATH, NULL, &status);
    if (!err && clears)
        fputs(CLEAR, stdout);
    if (!err)
        remote_print(call, status, show_status);
    json_decref(status);
    return err_exit_code(err);
}

/* On a terminal each page takes the place of the one before; else they follow each other. */
static int watch(const struct invocation *call)
{
    const char *text = call->flags[FLAG_WATCH];
    const struct timespec pause = {.tv_sec = *text ? strtol(text, NULL, 10) : WATCH_S_DEFAULT};
    bool clears = isatty(STDOUT_FILENO) && !call->flags[FLAG_JSON];
    int code = EX_OK;
    catch_interrupt();
    while (!interrupted && !ferror(stdout)) {
        code = show_once(call, clears);
        if (code != EX_OK && code != EX_TEMPFAIL && code != EX_UNAVAILABLE)
            break;
        if (!clears)
            putchar('\n');
        fflush(stdout);
        (void)nanosleep(&pause, NULL);
    }
    return interrupted ? EX_OK : code;
}

int command_status(const struct invocation *call)
{
    return call->flags[FLAG_WATCH] ? watch(call) : show_once(call, false);
}
