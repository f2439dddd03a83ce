/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command table's contract. A command gets its words and flags parsed against its row, writes
 * data to stdout and talk to stderr, and returns an exit code of sysexits.h. What it has written is
 * flushed behind it: output that can't be written makes a success EX_IOERR (main.c).
 */
#ifndef PENSTOCK_MAIN_COMMAND_H
#define PENSTOCK_MAIN_COMMAND_H

#include "base/buffer.h"

#define COMMAND_WORDS_MAX 4

/* Every flag of every command; a row says which ones it takes. */
enum command_flag {
    FLAG_CONFIG,      /* -c, --config FILE */
    FLAG_DATA,        /* --data DIR */
    FLAG_INGRESS,     /* --ingress ADDR */
    FLAG_ADMIN,       /* --admin ADDR */
    FLAG_READY_FILE,  /* --ready-file FILE */
    FLAG_JSON,        /* --json */
    FLAG_URL,         /* --url URL */
    FLAG_NAME,        /* --name NAME */
    FLAG_ENABLED,     /* --enabled true|false */
    FLAG_TYPES,       /* --types LIST */
    FLAG_IDEMPOTENT,  /* --idempotent true|false */
    FLAG_FINAL_4XX,   /* --final-4xx true|false */
    FLAG_KEY_POINTER, /* --key-pointer POINTER */
    FLAG_SECRET,      /* --secret SECRET */
    FLAG_SAMPLE,      /* --sample */
    FLAG_FROM,        /* --from DAY */
    FLAG_TO,          /* --to DAY */
    FLAG_DAY,         /* --day DAY */
    FLAG_ACCOUNT,     /* --account ACCOUNT */
    FLAG_ENDPOINT,    /* --endpoint ENDPOINT|none */
    FLAG_CURRENCY,    /* --currency CURRENCY|none */
    FLAG_STATE,       /* --state STATE|open */
    FLAG_REASON,      /* --reason REASON */
    FLAG_LIMIT,       /* --limit N */
    FLAG_BODIES,      /* --bodies */
    FLAG_AS,          /* --as delivered|discarded */
    FLAG_EXPECT,      /* --expect STATE */
    FLAG_NOTE,        /* --note TEXT */
    FLAG_FORCE,       /* --force */
    FLAG_TAKE_OVER,   /* --take-over */
    FLAG_TO_ENDPOINT, /* --to ENDPOINT */
    FLAGS
};

struct invocation {
    const char *words[COMMAND_WORDS_MAX]; /* behind the command's own */
    unsigned words_count;
    const char *flags[FLAGS]; /* NULL: not given; "" for flags without a value */
};

/* Prints the complaint and returns the exit code that belongs to `error`. */
int command_fail(enum err error, const char *format, ...) __attribute__((format(printf, 2, 3)));

int command_serve(const struct invocation *call);
int command_check(const struct invocation *call);
int command_data_accept_loss(const struct invocation *call);
int command_dev(const struct invocation *call);
int command_status(const struct invocation *call);
int command_event_show(const struct invocation *call);
int command_event_conflicts(const struct invocation *call);
int command_event_poison(const struct invocation *call);
int command_delivery_list(const struct invocation *call);
int command_delivery_show(const struct invocation *call);
int command_delivery_resolve(const struct invocation *call);
int command_delivery_resend(const struct invocation *call);
int command_delivery_discard(const struct invocation *call);
int command_delivery_replay(const struct invocation *call);
int command_audit(const struct invocation *call);
int command_partner_add(const struct invocation *call);
int command_partner_list(const struct invocation *call);
int command_partner_show(const struct invocation *call);
int command_partner_change(const struct invocation *call);
int command_partner_key(const struct invocation *call);
int command_partner_key_remove(const struct invocation *call);
int command_partner_secret(const struct invocation *call);
int command_partner_secret_remove(const struct invocation *call);
int command_partner_accounts(const struct invocation *call);
int command_partner_grant(const struct invocation *call);
int command_partner_revoke(const struct invocation *call);
int command_account_add(const struct invocation *call);
int command_account_list(const struct invocation *call);
int command_endpoint_add(const struct invocation *call);
int command_endpoint_list(const struct invocation *call);
int command_endpoint_show(const struct invocation *call);
int command_endpoint_change(const struct invocation *call);
int command_endpoint_remove(const struct invocation *call);
int command_endpoint_secret(const struct invocation *call);
int command_endpoint_secret_remove(const struct invocation *call);

#endif
