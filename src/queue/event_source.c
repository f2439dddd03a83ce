/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources have in common, and the direct source. */
#include "queue/event_source.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

void event_taker_ask(struct event_taker *taker, struct journal *journal, struct request *request,
    enum journal_kind kind, void (*on_done)(struct request *request, void *receiver))
{
    *request = (struct request){.kind = kind,
        .reply_to = taker->mailbox,
        .on_done = on_done,
        .outstanding = &taker->requests_out};
    taker->requests_out++;
    journal_submit(journal, request);
}

void event_source_pass_on(struct event_source *source, const struct delivery *delivery)
{
    struct event_taker *taker = source->taker;
    if (delivery->endpoint != 0) {
        taker->ops->take_handover(taker, delivery);
        return;
    }
    taker->ops->look_again(taker, delivery->event);
    event_unref(delivery->event);
}

static void on_handover(struct event_source *source, struct journal_handover *handover)
{
    for (unsigned i = 0; i < handover->count; i++)
        event_source_pass_on(source, &handover->deliveries[i]);
    free(handover);
}

static void on_end(struct event_source *source, struct sourced *sourced, bool adopted)
{
    assert(!"the direct source owns no event");
}

static void on_doubt(struct event_source *source, struct sourced *sourced)
{
    assert(!"the direct source owns no event");
}

static void direct_free(struct event_source *source)
{
    free(source);
}

struct event_source *event_source_direct_new(struct event_taker *taker)
{
    static const struct event_source_ops ops = {
        .on_handover = on_handover, .on_end = on_end, .on_doubt = on_doubt, .free = direct_free};
    struct event_source *source;
    MEMORY_NEW(source);
    *source = (struct event_source){.ops = &ops, .taker = taker};
    return source;
}
