/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JOURNAL_RECORD_RETRY_RULES: the retry rules that the due times of the file follow, as one text in
 * the table `meta`:
 *
 *   retry_rules    "ENDPOINTS_VERSION HORIZON_US STEP_US STEP_US ..."
 *
 * Rules that are not known have no row. A text that cannot be read counts as not known: the owner
 * then walks all waiting deliveries, which is always correct.
 */
#include "journal/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_BYTES_MAX 21 /* of an int64_t, with a space */
#define TEXT_BYTES ((RETRY_STEPS_MAX + 2) * NUMBER_BYTES_MAX + 1)

static void format(const struct journal_retry_rules *rules, char ret_text[TEXT_BYTES])
{
    const struct retry_schedule *schedule = &rules->gateway.schedule;
    int len = snprintf(ret_text, TEXT_BYTES, "%" PRId64 " %" PRId64, rules->endpoints_version,
        rules->gateway.horizon_us);
    for (unsigned i = 0; i < schedule->steps; i++)
        len +=
            snprintf(ret_text + len, TEXT_BYTES - (size_t)len, " %" PRId64, schedule->steps_us[i]);
}

static bool parse(const char *text, struct journal_retry_rules *ret_rules)
{
    struct journal_retry_rules rules = {.known = true};
    struct retry_schedule *schedule = &rules.gateway.schedule;
    unsigned count = 0;
    while (*text) {
        char *end;
        int64_t number = strtoll(text, &end, 10);
        if (end == text || (*end && *end != ' ') || count == RETRY_STEPS_MAX + 2)
            return false;
        if (count == 0)
            rules.endpoints_version = number;
        else if (count == 1)
            rules.gateway.horizon_us = number;
        else
            schedule->steps_us[schedule->steps++] = number;
        count++;
        text = *end ? end + 1 : end;
    }
    if (schedule->steps == 0)
        return false;
    *ret_rules = rules;
    return true;
}

enum err store_record_retry_rules(struct store *store, struct request *request)
{
    const struct journal_retry_rules *rules =
        &CONTAINER_OF(request, struct journal_record_retry_rules, request)->rules;
    if (!rules->known)
        return sql_run(store->db, "DELETE FROM meta WHERE key = 'retry_rules'");
    char text[TEXT_BYTES], statement[TEXT_BYTES + 96];
    format(rules, text);
    snprintf(statement, sizeof statement,
        "INSERT OR REPLACE INTO meta(key, value) VALUES('retry_rules', '%s')", text);
    return sql_run(store->db, statement);
}

enum err store_read_rules(struct sqlite3 *db, struct journal_retry_rules *ret_rules)
{
    struct sqlite3_stmt *statement = NULL;
    char text[TEXT_BYTES] = "";
    bool row = false;
    *ret_rules = (struct journal_retry_rules){0};
    enum err result =
        sql_prepare(db, "SELECT value FROM meta WHERE key = 'retry_rules'", &statement);
    struct sql_use use = sql_use(statement);
    if (!result)
        result = sql_step(&use, &row);
    if (!result && row)
        snprintf(text, sizeof text, "%.*s", SLICE_ARGS(sql_column_slice(&use, 0)));
    sql_finalize(statement);
    if (!result && row)
        (void)parse(text, ret_rules);
    return result;
}
