/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters behind a path's question mark, read as the members of an object: what is unknown
 * or wrong is a 422 that names it. */
#include "admin/admin_internal.h"

#include "accounts/accounts.h"
#include "base/clock.h"
#include "history/listing.h"
#include "model/name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CURSOR_RULE "must be the `next` of an answer to the same question"
#define PARAMETER_NAME_BYTES 32

/* Percent-encoding and '+' (application/x-www-form-urlencoded). False when it is broken, holds a
 * NUL, or is too long. / */
static bool decode(struct slice text, char *ret_text, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)(text.data[i] == '+' ? ' ' : text.data[i]);
        if (c == '%') {
            if (i + 2 >= text.len || !hex_decode(slice_of(text.data + i + 1, 2), &c))
                return false;
            i += 2;
        }
        if (c == '\0' || len + 1 >= size)
            return false;
        ret_text[len++] = (char)c;
    }
    ret_text[len] = '\0';
    return true;
}

static struct admin_parameter *find(struct admin_parameter *parameters, const char *name)
{
    for (; parameters->name; parameters++)
        if (strcmp(parameters->name, name) == 0)
            return parameters;
    return NULL;
}

/* `name=value`, or a name by itself. False after an answer. */
static bool take_one(
    struct http_exchange *exchange, struct slice text, struct admin_parameter *parameters)
{
    const char *equals = memchr(text.data, '=', text.len);
    size_t name_len = equals ? (size_t)(equals - text.data) : text.len;
    size_t value_at = equals ? name_len + 1 : name_len;
    char name[PARAMETER_NAME_BYTES];
    struct admin_parameter *parameter =
        decode(slice_of(text.data, name_len), name, sizeof name) ? find(parameters, name) : NULL;
    if (!parameter) {
        snprintf(name, sizeof name, "%.*s",
            (int)(name_len < sizeof name ? name_len : sizeof name - 1), text.data);
        admin_refuse_member(exchange, name, "is not a parameter here");
    } else if (parameter->given) {
        admin_refuse_member(exchange, name, "must be given once");
    } else if (!decode(slice_of(text.data + value_at, text.len - value_at), parameter->value,
                   sizeof parameter->value)) {
        admin_refuse_member(exchange, name, "is too long, or not percent-encoded");
    } else {
        parameter->given = true;
        return true;
    }
    return false;
}

bool admin_take_parameters(struct http_exchange *exchange, struct admin_parameter *parameters)
{
    struct slice rest = http_query(exchange);
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '&', rest.len);
        size_t len = end ? (size_t)(end - rest.data) : rest.len, skip = end ? len + 1 : len;
        if (len > 0 && !take_one(exchange, slice_of(rest.data, len), parameters))
            return false;
        rest = slice_of(rest.data + skip, rest.len - skip);
    }
    return true;
}

bool admin_take_day(
    struct http_exchange *exchange, const struct admin_parameter *parameter, int64_t *ret_day)
{
    char text[ADMIN_PARAMETER_BYTES + 16];
    int64_t us;
    if (!parameter->given)
        return true;
    snprintf(text, sizeof text, "%sT00:00:00Z", parameter->value);
    if (strlen(parameter->value) != 10 || !clock_parse_rfc3339(slice_from_string(text), &us) ||
        us < 0) {
        admin_refuse_member(exchange, parameter->name, "must be a day (UTC) such as 2026-01-31");
        return false;
    }
    *ret_day = us / US_PER_DAY;
    return true;
}

void admin_day_text(int64_t day, char ret_text[ADMIN_DAY_BYTES])
{
    char text[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(day * US_PER_DAY, text);
    snprintf(ret_text, ADMIN_DAY_BYTES, "%.10s", text);
}

bool admin_take_name(struct http_exchange *exchange, const struct admin_parameter *parameter,
    char ret_name[NAME_BYTES_MAX + 1])
{
    if (!parameter->given)
        return true;
    if (!name_is_valid(slice_from_string(parameter->value))) {
        admin_refuse_member(exchange, parameter->name, NAME_RULE);
        return false;
    }
    snprintf(ret_name, NAME_BYTES_MAX + 1, "%.*s", NAME_BYTES_MAX, parameter->value);
    return true;
}

bool admin_take_limit(
    struct http_exchange *exchange, const struct admin_parameter *parameter, unsigned *ret_limit)
{
    char *end;
    if (!parameter->given)
        return true;
    unsigned long limit = strtoul(parameter->value, &end, 10);
    if (*end || parameter->value[0] < '1' || parameter->value[0] > '9' ||
        limit > LISTING_COUNT_MAX) {
        admin_refuse_member(exchange, parameter->name, "must be a number from 1 to 1000");
        return false;
    }
    *ret_limit = (unsigned)limit;
    return true;
}

/* Cursors: numbers between dots. Nobody is to make anything of them but us. */

/* The cursor behind a page; null when it was the last. */
static json_t *next_of(const struct journal_page *page)
{
    const struct listing_cursor *cursor = &page->cursor;
    char text[96];
    if (!page->ret_more)
        return json_null();
    snprintf(text, sizeof text, "%u.%u.%lld.%lld.%lld", cursor->shard, cursor->place,
        (long long)cursor->endpoint, (long long)cursor->key, (long long)cursor->id);
    return json_string(text);
}

bool admin_knows_account(const struct admin *admin, const char *id)
{
    return !*id || !admin->options.accounts ||
           directory_account(accounts_directory(admin->options.accounts), slice_from_string(id));
}

bool admin_knows_partner(const struct admin *admin, const char *id)
{
    return !*id || !admin->options.accounts ||
           directory_partner(accounts_directory(admin->options.accounts), slice_from_string(id));
}

void admin_answer_unknown(struct http_exchange *exchange, const char *what, const char *id)
{
    char detail[NAME_BYTES_MAX + 160];
    snprintf(detail, sizeof detail,
        "There is no %s \"%s\", and nothing in the journals is of it: \"penstock %s list\" shows "
        "what there is.",
        what, id, what);
    http_answer_problem(exchange, ERR_NOT_FOUND, detail, NULL);
}

void admin_answer_page(struct http_exchange *exchange, const struct journal_page *page,
    const char *name, json_t *items, const struct admin_unknown *unknown)
{
    enum err result = page->request.result;
    if (result == OK && unknown && unknown->from_start && page->ret_count == 0 && !page->ret_more) {
        json_decref(items);
        admin_answer_unknown(exchange, unknown->what, unknown->id);
        return;
    }
    if (result == OK) {
        json_t *answer = json_pack("{s:o, s:o}", name, items, "next", next_of(page));
        if (unknown)
            json_object_set_new(answer, "unknown",
                json_pack("{s:s, s:s}", "what", unknown->what, "id", unknown->id));
        admin_answer_json(exchange, 200, answer);
        return;
    }
    json_decref(items);
    if (result == ERR_INVALID)
        admin_refuse_member(exchange, "cursor", CURSOR_RULE);
    else
        http_answer_problem(
            exchange, result, "The journals could not be read; ask again later.", NULL);
}

static bool parse_cursor(const char *text, struct listing_cursor *ret_cursor)
{
    int64_t numbers[5];
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        char *end;
        errno = 0;
        numbers[i] = strtoll(text, &end, 10);
        bool is_last = i + 1 == ARRAY_LENGTH(numbers);
        if (errno || end == text || *end != (is_last ? '\0' : '.'))
            return false;
        text = end + 1;
    }
    if (numbers[0] < 0 || numbers[0] >= SHARDS_MAX || numbers[1] < 0 ||
        numbers[1] > LISTING_PLACE_BROKER_OWNED)
        return false;
    *ret_cursor = (struct listing_cursor){.shard = (unsigned)numbers[0],
        .place = (unsigned)numbers[1],
        .endpoint = numbers[2],
        .key = numbers[3],
        .id = numbers[4]};
    return true;
}

bool admin_take_cursor(struct http_exchange *exchange, const struct admin_parameter *parameter,
    struct listing_cursor *ret_cursor)
{
    if (!parameter->given || parse_cursor(parameter->value, ret_cursor))
        return true;
    admin_refuse_member(exchange, parameter->name, CURSOR_RULE);
    return false;
}
