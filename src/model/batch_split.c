/* SPDX-License-Identifier: Apache-2.0 */
#include "model/batch_split.h"

struct splitter {
    struct slice body;
    size_t at;
    struct slice *items;
    unsigned count;
    struct refusal *refusal;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct splitter *splitter)
{
    while (splitter->at < splitter->body.len && is_blank(splitter->body.data[splitter->at]))
        splitter->at++;
}

static enum err refuse_here(struct splitter *splitter, const char *problem)
{
    return refuse_json_at(splitter->refusal, splitter->at, problem);
}

static enum err add_item(struct splitter *splitter, size_t begin, size_t end)
{
    if (splitter->count == BATCH_ITEMS_MAX)
        return refuse(splitter->refusal, ERR_TOO_LARGE,
            "A batch has at most %d items: split it into several batches.", BATCH_ITEMS_MAX);
    splitter->items[splitter->count++] = slice_of(splitter->body.data + begin, end - begin);
    return OK;
}

static enum err split_lines(struct splitter *splitter)
{
    const char *data = splitter->body.data;
    while (splitter->at < splitter->body.len) {
        size_t begin = splitter->at;
        const char *lf = memchr(data + begin, '\n', splitter->body.len - begin);
        size_t end = lf ? (size_t)(lf - data) : splitter->body.len;
        splitter->at = end + 1;
        if (lf && end > begin && data[end - 1] == '\r')
            end--;
        size_t content = begin;
        while (content < end && is_blank(data[content]))
            content++;
        enum err failed = content < end ? add_item(splitter, begin, end) : OK;
        if (failed)
            return failed;
    }
    return OK;
}

/* Moves behind the string that begins here, or to the end of the body if the string is not
 * closed. */
static void skip_string(struct splitter *splitter)
{
    const char *data = splitter->body.data;
    for (splitter->at++; splitter->at < splitter->body.len; splitter->at++) {
        if (data[splitter->at] == '"') {
            splitter->at++;
            return;
        }
        if (data[splitter->at] == '\\')
            splitter->at++;
    }
    splitter->at = splitter->body.len;
}

/* Moves to the comma or bracket behind the item that begins here, or to the end of the body. If a
 * comma is missing, moves to the text in its place. */
static void skip_item(struct splitter *splitter)
{
    unsigned open = 0;
    size_t begin = splitter->at;
    while (splitter->at < splitter->body.len) {
        char c = splitter->body.data[splitter->at];
        bool is_begin = c == '{' || c == '[' || c == '"', is_end = c == '}' || c == ']';
        if (open == 0 && (c == ',' || is_end || (is_begin && splitter->at > begin)))
            return;
        if (c == '"') {
            skip_string(splitter);
        } else {
            open += is_begin;
            open -= is_end;
            splitter->at++;
        }
        if (open == 0 && (is_end || c == '"')) {
            skip_blanks(splitter);
            return;
        }
    }
}

static enum err split_array(struct splitter *splitter)
{
    const char *data = splitter->body.data;
    size_t len = splitter->body.len;
    skip_blanks(splitter);
    if (splitter->at == len || data[splitter->at] != '[')
        return refuse_here(splitter, "the batch must be a JSON array of events");
    splitter->at++;
    skip_blanks(splitter);
    bool is_empty = splitter->at < len && data[splitter->at] == ']';
    for (char c = is_empty ? ']' : ','; c != ']'; c = data[splitter->at++]) {
        skip_blanks(splitter);
        size_t begin = splitter->at;
        skip_item(splitter);
        size_t end = splitter->at;
        while (end > begin && is_blank(data[end - 1]))
            end--;
        if (splitter->at == len)
            return refuse_here(splitter, "the array is not closed: a ], } or \" is missing");
        if (end == begin || data[splitter->at] == '}')
            return refuse_here(splitter, "an event is missing");
        if (data[splitter->at] != ',' && data[splitter->at] != ']')
            return refuse_here(splitter, "a comma is missing between two events");
        enum err failed = add_item(splitter, begin, end);
        if (failed)
            return failed;
    }
    splitter->at += is_empty;
    skip_blanks(splitter);
    return splitter->at == len ? OK : refuse_here(splitter, "text after the array is not allowed");
}

enum err batch_split(struct slice body, enum batch_form form,
    struct slice ret_items[BATCH_ITEMS_MAX], unsigned *ret_count, struct refusal *ret_refusal)
{
    struct splitter splitter = {.body = body, .items = ret_items, .refusal = ret_refusal};
    enum err failed = form == BATCH_ARRAY ? split_array(&splitter) : split_lines(&splitter);
    if (!failed)
        *ret_count = splitter.count;
    return failed;
}
