/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/match.h"

#define DUE_DIGITS_MAX 18

struct search {
    match_header *header;
    const void *request;
    struct slice body;
    json_t *root; /* NULL: not parsed yet, or not JSON */
    char text[SELECTOR_TEXT_BYTES];
};

static bool is_json(const struct selector *selector)
{
    return selector->kind == SELECTOR_JSON;
}

/* Returns the selected text. It holds until the next call. */
static struct slice find(struct search *search, const struct selector *selector)
{
    switch (selector->kind) {
    case SELECTOR_NONE:
        break;
    case SELECTOR_BODY:
        return search->body;
    case SELECTOR_HEADER:
        return search->header(search->request, selector->name);
    case SELECTOR_JSON:
        selector_find_json(search->root, selector->name, search->text);
        return slice_from_string(search->text);
    }
    return slice_of(NULL, 0);
}

static int64_t read_due(struct slice text)
{
    int64_t due_us = 0;
    if (text.len > DUE_DIGITS_MAX)
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return 0;
        due_us = due_us * 10 + (text.data[i] - '0');
    }
    return due_us;
}

void match_fill(const struct match *match, match_header *header, const void *request,
    struct slice body, struct sink_record *record)
{
    struct search search = {.header = header, .request = request, .body = body};
    if (is_json(&match->key) || is_json(&match->id) || is_json(&match->due))
        search.root = selector_read_json(body);
    record->number = run_log_find_number(find(&search, &match->key), match->run);
    struct slice id = find(&search, &match->id);
    memset(record->event, 0, sizeof record->event);
    if (id.len > 0)
        run_log_id(id, record->event);
    record->due_us = read_due(find(&search, &match->due));
    json_decref(search.root);
}
