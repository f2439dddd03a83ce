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

enum err desk_state_counts(
    struct desk *desk, struct journal_reader *reader, int64_t ret_counts[DELIVERY_STATES])
{
    struct journal_state_counts counts = {
        .request = {.reply_to = &desk->mailbox, .on_done = on_query_done}};
    size_t before = desk->queries_count;
    journal_reader_count_states(reader, &counts);
    wait_for_query(desk, before);
    memcpy(ret_counts, counts.ret_counts, sizeof counts.ret_counts);
    return counts.request.result;
}
