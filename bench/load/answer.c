/* SPDX-License-Identifier: Apache-2.0 */
#include "load/answer.h"

#include "model/event_id.h"

#include <stdlib.h>

/* Returns the text after the first `text` in `within`; an empty slice when it is not there. */
static struct slice behind(struct slice within, const char *text)
{
    const char *found = within.len ? memmem(within.data, within.len, text, strlen(text)) : NULL;
    if (!found)
        return slice_of(NULL, 0);
    found += strlen(text);
    return slice_of(found, within.len - (size_t)(found - within.data));
}

static void read_acceptance(struct slice answer, struct load_record *record)
{
    record->answer = LOAD_SAID_OTHER;
    if (behind(answer, "\"accepted\"").data)
        record->answer = LOAD_SAID_ACCEPTED;
    else if (behind(answer, "\"duplicate\"").data)
        record->answer = LOAD_SAID_DUPLICATE;
    struct event_id id;
    struct slice text = behind(answer, "\"event\":\"");
    if (text.len >= EVENT_ID_TEXT_BYTES &&
        event_id_parse(slice_of(text.data, EVENT_ID_TEXT_BYTES - 1), &id))
        memcpy(record->event, id.bytes, sizeof record->event);
}

/* Returns the next object of an array of flat results, found by its braces. Braces within its
 * strings do not occur in such results. */
static struct slice next_result(struct slice *rest)
{
    const char *begin = rest->len ? memchr(rest->data, '{', rest->len) : NULL;
    const char *end = rest->data + rest->len;
    int depth = 0;
    for (const char *at = begin; at && at < end; at++) {
        depth += (*at == '{') - (*at == '}');
        if (depth == 0) {
            *rest = slice_of(at + 1, (size_t)(end - at - 1));
            return slice_of(begin, (size_t)(at + 1 - begin));
        }
    }
    *rest = slice_of(NULL, 0);
    return slice_of(NULL, 0);
}

/* Takes the id of a target's answer. Returns false when it has none. */
static bool take_id(const struct sending *sending, const struct selector *where,
    unsigned char ret_id[sizeof sending->id])
{
    static const unsigned char none[sizeof sending->id];
    char text[SELECTOR_TEXT_BYTES];
    if (where->kind == SELECTOR_HEADER) {
        memcpy(ret_id, sending->id, sizeof sending->id);
        return memcmp(sending->id, none, sizeof none) != 0;
    }
    json_t *root = selector_read_json(buffer_slice(&sending->answer));
    bool found = selector_find_json(root, where->name, text);
    json_decref(root);
    if (found)
        run_log_id(slice_from_string(text), ret_id);
    return found;
}

static void read_answer_of_target(struct sending *sending, const struct post *post)
{
    struct load_record *record = &sending->records[0];
    record->status = (uint16_t)sending->status;
    if (status_set_has(&post->duplicate, sending->status))
        record->answer = LOAD_SAID_DUPLICATE;
    else if (status_set_has(&post->accepted, sending->status))
        record->answer = LOAD_SAID_ACCEPTED;
    else
        return;
    if (post->id.kind != SELECTOR_NONE && !take_id(sending, &post->id, record->event))
        record->answer = LOAD_SAID_OTHER;
}

void answer_read(struct sending *sending, const struct post *post, bool is_batch)
{
    if (post) {
        read_answer_of_target(sending, post);
        return;
    }
    struct slice rest = buffer_slice(&sending->answer);
    if (is_batch && sending->status == 200) { /* {"results":[...]} or the bare array */
        struct slice array = behind(rest, "[");
        rest = array;
    }
    for (unsigned i = 0; i < sending->records_count; i++) {
        struct load_record *record = &sending->records[i];
        struct slice answer = rest;
        record->status = (uint16_t)sending->status;
        if (is_batch && sending->status == 200) {
            answer = next_result(&rest);
            struct slice status = behind(answer, "\"status\":");
            record->status = status.len ? (uint16_t)strtoul(status.data, NULL, 10) : 0;
        }
        if (record->status == 200)
            read_acceptance(answer, record);
    }
}
