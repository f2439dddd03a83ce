/* SPDX-License-Identifier: Apache-2.0 */
/* The command table, and how an argument list is read against it. */
#include "base/cleanup.h"
#include "config/config.h"
#include "main/command.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define F(flag) (1u << (flag))
#define REMOTE (F(FLAG_CONFIG) | F(FLAG_DATA) | F(FLAG_JSON))
#define ACT (F(FLAG_EXPECT) | F(FLAG_NOTE))
#define ENDPOINT_POLICY (F(FLAG_URL) | F(FLAG_TYPES) | F(FLAG_IDEMPOTENT) | F(FLAG_FINAL_4XX))

static_assert(FLAGS <= 32, "a command's flags are bits of an unsigned");

static const struct command {
    const char *name;  /* one or two words */
    const char *words; /* what follows, for the usage line */
    unsigned words_min, words_max;
    unsigned flags;
    const char *summary;
    int (*run)(const struct invocation *call);
} commands[] = {
    {"dev", "", 0, 0, F(FLAG_INGRESS) | F(FLAG_ADMIN) | F(FLAG_DATA) | F(FLAG_READY_FILE),
        "Try it: a gateway with a demo partner, account, endpoint and sink", command_dev},
    {"serve", "", 0, 0, F(FLAG_CONFIG) | F(FLAG_TAKE_OVER), "Run the gateway", command_serve},
    {"check", "", 0, 0, F(FLAG_CONFIG) | F(FLAG_SAMPLE),
        "Check a configuration file, or print a sample (--sample)", command_check},
    {"data accept-loss", "FILE", 1, 1, F(FLAG_CONFIG) | F(FLAG_DATA) | F(FLAG_NOTE),
        "Give a file of the data directory up that is gone for good; the audit names it",
        command_data_accept_loss},
    {"status", "", 0, 0, REMOTE, "What the running gateway holds and has done", command_status},
    {"event show", "EVENT", 1, 1, REMOTE, "One event's timeline", command_event_show},
    {"event conflicts", "[EVENT]", 0, 1, REMOTE | F(FLAG_ACCOUNT) | F(FLAG_DAY) | F(FLAG_LIMIT),
        "What came under an accepted event's key with other money", command_event_conflicts},
    {"event poison", "", 0, 0, REMOTE | F(FLAG_LIMIT),
        "Messages of the broker that are no events (--json: with their bytes)",
        command_event_poison},
    {"delivery list", "", 0, 0,
        REMOTE | F(FLAG_STATE) | F(FLAG_REASON) | F(FLAG_ACCOUNT) | F(FLAG_ENDPOINT) | F(FLAG_DAY) |
            F(FLAG_CURRENCY) | F(FLAG_LIMIT),
        "List deliveries", command_delivery_list},
    {"delivery show", "DELIVERY", 1, 1, REMOTE,
        "One delivery, its attempts, and what was done to it", command_delivery_show},
    {"delivery resolve", "DELIVERY", 1, 1, REMOTE | F(FLAG_AS) | ACT,
        "Say what became of a parked delivery, without sending it", command_delivery_resolve},
    {"delivery resend", "DELIVERY", 1, 1, REMOTE | F(FLAG_TO_ENDPOINT) | ACT,
        "Send a parked delivery, to another endpoint with --to", command_delivery_resend},
    {"delivery discard", "DELIVERY", 1, 1, REMOTE | ACT, "Give a parked or dead delivery up",
        command_delivery_discard},
    {"delivery replay", "DELIVERY", 1, 1, REMOTE | F(FLAG_FORCE) | F(FLAG_TO_ENDPOINT) | ACT,
        "Send a dead delivery again, or with --force a delivered one", command_delivery_replay},
    {"audit", "", 0, 0, REMOTE | F(FLAG_FROM) | F(FLAG_TO) | F(FLAG_ACCOUNT) | F(FLAG_BODIES),
        "Whether all that was accepted is accounted for, to the last cent", command_audit},
    {"partner add", "PARTNER", 1, 1, REMOTE, "Add a partner and make its first API key",
        command_partner_add},
    {"partner list", "", 0, 0, REMOTE, "List the partners", command_partner_list},
    {"partner show", "PARTNER", 1, 1, REMOTE, "Show a partner, its keys and its secrets",
        command_partner_show},
    {"partner change", "PARTNER", 1, 1, REMOTE | F(FLAG_ENABLED) | F(FLAG_KEY_POINTER),
        "Lock a partner out or let it in; say where its events carry their key",
        command_partner_change},
    {"partner key", "PARTNER", 1, 1, REMOTE, "Make one more API key; shows it once",
        command_partner_key},
    {"partner key-remove", "PARTNER KEY", 2, 2, REMOTE, "Revoke an API key",
        command_partner_key_remove},
    {"partner secret", "PARTNER", 1, 1, REMOTE | F(FLAG_SECRET),
        "Make or take a secret that the partner signs with; shows it once", command_partner_secret},
    {"partner secret-remove", "PARTNER SECRET", 2, 2, REMOTE, "Take a partner's secret away",
        command_partner_secret_remove},
    {"partner accounts", "PARTNER", 1, 1, REMOTE, "List the accounts that a partner posts for",
        command_partner_accounts},
    {"partner grant", "PARTNER ACCOUNT", 2, 2, REMOTE, "Let a partner post for an account",
        command_partner_grant},
    {"partner revoke", "PARTNER ACCOUNT", 2, 2, REMOTE,
        "Let a partner no longer post for an account", command_partner_revoke},
    {"account add", "ACCOUNT", 1, 1, REMOTE, "Add an account", command_account_add},
    {"account list", "", 0, 0, REMOTE, "List the accounts", command_account_list},
    {"endpoint add", "ACCOUNT", 1, 1, REMOTE | ENDPOINT_POLICY | F(FLAG_NAME),
        "Add an endpoint to an account; shows its signing secret once", command_endpoint_add},
    {"endpoint list", "ACCOUNT", 1, 1, REMOTE, "List an account's endpoints",
        command_endpoint_list},
    {"endpoint show", "ACCOUNT ENDPOINT", 2, 2, REMOTE, "Show one endpoint", command_endpoint_show},
    {"endpoint change", "ACCOUNT ENDPOINT", 2, 2, REMOTE | ENDPOINT_POLICY | F(FLAG_ENABLED),
        "Move an endpoint to another URL, disable or enable it, choose what it gets",
        command_endpoint_change},
    {"endpoint remove", "ACCOUNT ENDPOINT", 2, 2, REMOTE,
        "Remove an endpoint; what was on its way to it is parked", command_endpoint_remove},
    {"endpoint secret", "ACCOUNT ENDPOINT", 2, 2, REMOTE | F(FLAG_SECRET),
        "Make or take one more signing secret; shows it once", command_endpoint_secret},
    {"endpoint secret-remove", "ACCOUNT ENDPOINT SECRET", 3, 3, REMOTE,
        "Take a signing secret away", command_endpoint_secret_remove},
};

static const struct flag {
    const char *name, *short_name, *value, *summary;
} flag_rows[FLAGS] = {
    [FLAG_CONFIG] = {"--config", "-c", "FILE", "configuration file"},
    [FLAG_DATA] = {"--data", NULL, "DIR", "data directory (dev: default $XDG_STATE_HOME/penstock)"},
    [FLAG_INGRESS] = {"--ingress", NULL, "ADDR", "where partners post; port 0 picks a free one"},
    [FLAG_ADMIN] = {"--admin", NULL, "ADDR", "the operators' listener"},
    [FLAG_READY_FILE] = {"--ready-file", NULL, "FILE",
        "written when ready: addresses and credentials as JSON"},
    [FLAG_JSON] = {"--json", NULL, NULL, "print JSON"},
    [FLAG_URL] = {"--url", NULL, "URL", "the client's URL"},
    [FLAG_NAME] = {"--name", NULL, "NAME",
        "name of the endpoint within its account (default main)"},
    [FLAG_ENABLED] = {"--enabled", NULL, "true|false", "partner: may post; endpoint: is sent to"},
    [FLAG_TYPES] = {"--types", NULL, "LIST", "the events it gets: purchase,lead.* (\"\": all)"},
    [FLAG_IDEMPOTENT] = {"--idempotent", NULL, "true|false",
        "tells repeated deliveries apart by itself"},
    [FLAG_FINAL_4XX] = {"--final-4xx", NULL, "true|false",
        "a 4xx other than 408, 425, 429 is its last word"},
    [FLAG_KEY_POINTER] = {"--key-pointer", NULL, "POINTER",
        "where an event carries its dedupe key: /data/order (\"\": nowhere)"},
    [FLAG_SECRET] = {"--secret", NULL, "SECRET", "take this one (whsec_...) instead of making one"},
    [FLAG_SAMPLE] = {"--sample", NULL, NULL, "print a commented sample configuration"},
    [FLAG_FROM] = {"--from", NULL, "DAY", "the first day of acceptance (UTC): 2026-01-01"},
    [FLAG_TO] = {"--to", NULL, "DAY", "the last one"},
    [FLAG_DAY] = {"--day", NULL, "DAY", "of one day (UTC): 2026-01-01"},
    [FLAG_ACCOUNT] = {"--account", NULL, "ACCOUNT", "of one account"},
    [FLAG_ENDPOINT] = {"--endpoint", NULL, "ENDPOINT", "to one endpoint (its id; none: unrouted)"},
    [FLAG_CURRENCY] = {"--currency", NULL, "CURRENCY", "of one currency (none: without an amount)"},
    [FLAG_STATE] = {"--state", NULL, "STATE",
        "in one state; in_progress: pending, sending or waiting"},
    [FLAG_REASON] = {"--reason", NULL, "REASON", "parked for one reason"},
    [FLAG_LIMIT] = {"--limit", NULL, "N", "as many at most (default 100)"},
    [FLAG_BODIES] = {"--bodies", NULL, NULL,
        "read all bodies, not only those of what is open: it takes long"},
    [FLAG_AS] = {"--as", NULL, "STATE", "what became of it: delivered or discarded"},
    [FLAG_EXPECT] = {"--expect", NULL, "STATE",
        "where it is; nothing is done when it has moved on"},
    [FLAG_NOTE] = {"--note", NULL, "TEXT", "why; it is kept"},
    [FLAG_FORCE] = {"--force", NULL, NULL, "although the client has had it"},
    [FLAG_TO_ENDPOINT] = {"--to", NULL, "ENDPOINT",
        "to this endpoint of the account from now on (its id), not to its own"},
    [FLAG_TAKE_OVER] = {"--take-over", NULL, NULL,
        "own delivery from now on, in place of a gateway that is gone; what payouts it may have "
        "sent are parked"},
};

int command_fail(enum err error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("penstock: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return err_exit_code(error);
}

static void print_command(FILE *out, const struct command *command)
{
    fprintf(out, "  %-22s %-24s %s\n", command->name, command->words, command->summary);
}

static void print_help(FILE *out)
{
    fputs("Penstock, a gateway for events that are worth money.\n\nUsage: penstock COMMAND "
          "...\n\nCommands:\n",
        out);
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        print_command(out, &commands[i]);
    fputs("\npenstock COMMAND --help shows a command's flags; penstock --version the version.\n\n"
          "Options of the configuration file (or of the environment: PENSTOCK_SECTION__NAME):\n",
        out);
    struct buffer options = BUFFER_EMPTY;
    config_print_help(&options);
    if (options.len)
        fwrite(options.data, 1, options.len, out);
    buffer_done(&options);
}

static void print_usage(FILE *out, const struct command *command)
{
    fprintf(out, "Usage: penstock %s%s%s [flags]\n%s.\n", command->name, *command->words ? " " : "",
        command->words, command->summary);
    for (int i = 0; i < FLAGS; i++) {
        if (!(command->flags & F(i)))
            continue;
        const struct flag *row = &flag_rows[i];
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s%s", row->short_name ? row->short_name : "",
            row->short_name ? ", " : "", row->name, row->value ? " " : "",
            row->value ? row->value : "");
        fprintf(out, "  %-24s %s\n", left, row->summary);
    }
}

/* The command that `argv` begins with, and how many words that took. */
static const struct command *find_command(int argc, char **argv, int *ret_used)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        const char *name = commands[i].name, *space = strchr(name, ' ');
        size_t first = space ? (size_t)(space - name) : strlen(name);
        if (argc < (space ? 2 : 1) || strlen(argv[0]) != first ||
            strncmp(argv[0], name, first) != 0)
            continue;
        if (space && strcmp(argv[1], space + 1) != 0)
            continue;
        *ret_used = space ? 2 : 1;
        return &commands[i];
    }
    return NULL;
}

/* The flag that `word` names (with what stands behind '='), or -1. */
static int find_flag(const struct command *command, const char *word, const char **ret_value)
{
    for (int i = 0; i < FLAGS; i++) {
        const struct flag *row = &flag_rows[i];
        size_t len = strlen(row->name);
        if (!(command->flags & F(i)))
            continue;
        *ret_value = NULL;
        if (strcmp(word, row->name) == 0 || (row->short_name && strcmp(word, row->short_name) == 0))
            return i;
        *ret_value = word + len + 1;
        if (row->value && strncmp(word, row->name, len) == 0 && word[len] == '=')
            return i;
    }
    return -1;
}

static int parse_and_run(const struct command *command, int argc, char **argv)
{
    struct invocation call = {0};
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_usage(stdout, command);
            return EX_OK;
        }
        if (argv[i][0] != '-') {
            if (call.words_count == command->words_max)
                return command_fail(ERR_USAGE,
                    "%s: \"%s\" is one word too many; see penstock %s --help", command->name,
                    argv[i], command->name);
            call.words[call.words_count++] = argv[i];
            continue;
        }
        const char *value;
        int flag = find_flag(command, argv[i], &value);
        if (flag < 0)
            return command_fail(ERR_USAGE, "%s: unknown flag %s; see penstock %s --help",
                command->name, argv[i], command->name);
        if (!value && flag_rows[flag].value)
            value = ++i < argc ? argv[i] : NULL;
        if (!value && flag_rows[flag].value)
            return command_fail(
                ERR_USAGE, "%s needs a value: %s", flag_rows[flag].name, flag_rows[flag].value);
        call.flags[flag] = value ? value : "";
    }
    if (call.words_count < command->words_min)
        return command_fail(ERR_USAGE, "%s: %s is missing; see penstock %s --help", command->name,
            command->words, command->name);
    return command->run(&call);
}

static int run(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0)) {
        puts("penstock " PENSTOCK_VERSION);
        return EX_OK;
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                         strcmp(argv[1], "help") == 0)) {
        print_help(stdout);
        return EX_OK;
    }
    int used = 0;
    const struct command *command = argc >= 2 ? find_command(argc - 1, argv + 1, &used) : NULL;
    if (command)
        return parse_and_run(command, argc - 1 - used, argv + 1 + used);
    if (argc < 2)
        fputs("penstock: say what to do, for example: penstock dev\n", stderr);
    else
        fprintf(stderr, "penstock: there is no command \"%s%s%s\"\n", argv[1], argc > 2 ? " " : "",
            argc > 2 ? argv[2] : "");
    fputs("Commands:\n", stderr);
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        print_command(stderr, &commands[i]);
    return EX_USAGE;
}

/*
 * Whatever a command had to say is out, or it has failed: an empty file must not pass for an empty
 * answer. In one place for all of them. A descriptor that was closed from the beginning is nobody's
 * loss while nothing was written.
 */
static int finish_output(int code)
{
    bool has_failed = ferror(stdout) != 0, has_text = __fpending(stdout) > 0;
    int reason = 0;
    if (fclose(stdout) != 0 && (has_text || errno != EBADF)) {
        has_failed = true;
        reason = errno;
    }
    if (!has_failed)
        return code;
    int failed =
        command_fail(ERR_DISK, "the output can't be written%s%s: what was printed is not complete",
            reason ? ": " : "", reason ? strerror(reason) : "");
    return code == EX_OK ? failed : code;
}

/* Whoever starts us may have closed them: what is opened next must not become the place of the log.
 * Output to a closed stdout stays an error. */
static void reserve_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) != fd)
            _exit(EX_OSERR); /* and there is nobody to tell */
}

int main(int argc, char **argv)
{
    reserve_standard_descriptors();
    return finish_output(run(argc, argv));
}
