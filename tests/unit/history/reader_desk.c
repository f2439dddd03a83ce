/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/history/reader_desk.h"

static void on_query_done(struct request *request, void *receiver)
{
    (void)request;
    struct desk *desk = receiver;
    desk->queries_count++;
}

static void wait_for_query(struct desk *desk, size_t before)
{
    desk_wait_for(desk, &desk->queries_count, before + 1);
}

enum err desk_find(struct desk *desk, struct journal_reader *reader, const struct event_id *id,
    struct timeline **ret_timeline)
{
    struct journal_find find = {
        .request = {.reply_to = &desk->mailbox, .on_done = on_query_done}, .id = *id};
    size_t before = desk->queries_count;
    journal_reader_find(reader, &find);
    wait_for_query(desk, before);
    *ret_timeline = find.ret_timeline;
    return find.request.result;
}

#define ASKED_MAX 20 /* a slow machine answers a part, and the next one when it is asked again */

enum err desk_due(struct desk *desk, struct journal_reader *reader, int64_t now_us,
    struct journal_due_entry *entries, unsigned count, struct journal_due *ret_due)
{
    for (unsigned asked = 0; asked == 0 || (asked < ASKED_MAX && !ret_due->ret_complete); asked++) {
        *ret_due =
            (struct journal_due){.request = {.reply_to = &desk->mailbox, .on_done = on_query_done},
                .now_us = now_us,
                .count = count,
                .entries = entries};
        size_t before = desk->queries_count;
        journal_reader_due(reader, ret_due);
        wait_for_query(desk, before);
    }
    return ret_due->request.result;
}
