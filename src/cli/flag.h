/* SPDX-License-Identifier: Apache-2.0 */
/* The flag table: every flag of every command, what its value must be, and its name in the admin
 * API. */
#ifndef PENSTOCK_CLI_FLAG_H
#define PENSTOCK_CLI_FLAG_H

#include <stdbool.h>
#include <stdint.h>

/* The row of a command says which ones it takes. */
enum command_flag {
    FLAG_CONFIG,
    FLAG_DATA,
    FLAG_INGRESS,
    FLAG_ADMIN,
    FLAG_READY_FILE,
    FLAG_JSON,
    FLAG_URL,
    FLAG_NAME,
    FLAG_ENABLED,
    FLAG_TYPES,
    FLAG_IDEMPOTENT,
    FLAG_FINAL_4XX,
    FLAG_KEY_POINTER,
    FLAG_SECRET,
    FLAG_SAMPLE,
    FLAG_FROM,
    FLAG_TO,
    FLAG_DAY,
    FLAG_ACCOUNT,
    FLAG_ENDPOINT,
    FLAG_CURRENCY,
    FLAG_PARTNER,
    FLAG_TYPE,
    FLAG_CLASS,
    FLAG_KEY,
    FLAG_AMOUNT,
    FLAG_SINCE,
    FLAG_UNTIL,
    FLAG_STATE,
    FLAG_PARK_REASON,
    FLAG_REASON,
    FLAG_RATE,
    FLAG_DRY_RUN,
    FLAG_CAUSE,
    FLAG_LIMIT,
    FLAG_BODIES,
    FLAG_AS,
    FLAG_EXPECT,
    FLAG_FORCE,
    FLAG_GUARDED,
    FLAG_TAKE_OVER,
    FLAG_TO_ENDPOINT,
    FLAG_ENDPOINT_ENABLED,
    FLAG_POLICY,
    FLAG_LABEL,
    FLAG_EXPIRES_AT,
    FLAG_KEY_ACCOUNTS,
    FLAG_KEY_TYPES,
    FLAG_EVENTS_PER_SECOND,
    FLAG_EVENTS_BURST,
    FLAG_BYTES_PER_SECOND,
    FLAG_BYTES_BURST,
    FLAG_ALLOW_NETWORKS,
    FLAG_CERTIFICATES,
    FLAG_CERTIFICATE_REQUIRED,
    FLAG_SWITCH_ACCOUNT,
    FLAG_SWITCH_ENDPOINT,
    FLAG_HISTORY,
    FLAG_DELIVERIES_OFF,
    FLAG_WATCH,
    FLAG_BACKLOG,
    FLAGS
};

#define FLAG_BIT(flag) (UINT64_C(1) << (flag))

/* What a flag's value must be. The parser checks it. */
enum flag_kind {
    FLAG_KIND_SWITCH,  /* has no value */
    FLAG_KIND_TEXT,    /* anything */
    FLAG_KIND_LIST,    /* texts between commas */
    FLAG_KIND_BOOLEAN, /* true or false */
    FLAG_KIND_NUMBER,  /* from 1 on */
    FLAG_KIND_SECONDS, /* from 1 on; may be left out: the next argument is one if it is a number */
    FLAG_KIND_COUNT,   /* from 0 on; a number in JSON */
    FLAG_KIND_DAY,     /* 2026-01-31 */
    FLAG_KIND_TIME,    /* 2026-01-31T12:00:00Z, or never, which is null in JSON */
    FLAG_KIND_WHEN,    /* 2026-01-31T12:00:00Z, or a duration: so long ago */
    FLAG_KIND_FILE,    /* the name of a file with JSON, or - for stdin */
};

struct flag {
    const char *name;       /* "--config" */
    const char *short_name; /* "-c" or NULL */
    enum flag_kind kind;
    const char *value; /* the placeholder in help texts; NULL for a switch */
    /* Its name in the admin API (request.h), or "rules/NAME" for a member of the object `rules`.
     * NULL: it does not go there. */
    const char *member;
    const char *summary;
};

extern const struct flag flag_rows[FLAGS];

/* Returns the flag that an argument names, or FLAGS. Those among `taken` (bits) are preferred: two
 * flags may have the same name. *ret_value gets the text after '=', or NULL. */
unsigned flag_find(const char *argument, uint64_t taken, const char **ret_value);

/* Reads a value of FLAG_KIND_WHEN. */
bool flag_when(const char *text, int64_t now_us, int64_t *ret_wall_us);

/* Returns the rule that a value breaks, or NULL. */
const char *flag_check_value(const struct flag *row, const char *value);

#endif
