/* SPDX-License-Identifier: Apache-2.0 */
/* A partner for people: its members, its rules one by one, and its keys as a table. */
#include "base/buffer.h"
#include "cli/print_answer.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

/* The texts of a list with a comma between two. An empty list means all. */
static void add_list(struct table *table, const json_t *list)
{
    struct buffer text = BUFFER_EMPTY;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
        buffer_add_format(&text, "%s%s", i ? "," : "", json_string_value(item));
    table_add(table, text.len ? text.data : "all");
    buffer_done(&text);
}

static void add_expiry(struct table *table, const json_t *key)
{
    char text[64];
    bool has_end = json_is_string(json_object_get(key, "expires_at"));
    snprintf(text, sizeof text, "%.40s%s", has_end ? show_text(key, "expires_at") : "never",
        json_is_true(json_object_get(key, "expired")) ? " (expired)" : "");
    table_add(table, text);
}

static void print_keys(const json_t *keys)
{
    static const struct table_column columns[] = {
        {"key"}, {"label"}, {"created"}, {"expires"}, {"last used"}, {"accounts"}, {"types"}};
    struct table table;
    size_t i;
    json_t *key;
    table_init(&table, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(keys, i, key)
    {
        table_add(&table, show_text(key, "id"));
        table_add(&table, show_text(key, "label"));
        table_add(&table, show_text(key, "created_at"));
        add_expiry(&table, key);
        table_add(&table, show_text(key, "last_used_at"));
        add_list(&table, json_object_get(key, "accounts"));
        add_list(&table, json_object_get(key, "types"));
    }
    table_print(&table, stdout);
    table_done(&table);
}

static void print_rules(const json_t *rules)
{
    const char *name;
    json_t *value;
    if (json_object_size(rules) == 0)
        printf("%-12s %s\n", "rules", "none");
    json_object_foreach((json_t *)rules, name, value) show_member(rules, name, value);
}

void show_partner(const json_t *partner)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)partner, name, value)
    {
        if (strcmp(name, "rules") == 0)
            print_rules(value);
        else if (strcmp(name, "keys") != 0)
            show_member(partner, name, value);
    }
    const json_t *keys = json_object_get(partner, "keys");
    if (json_array_size(keys) > 0)
        print_keys(keys);
    else if (keys)
        printf("%-12s %s\n", "keys", "none");
}
