/* SPDX-License-Identifier: Apache-2.0 */
#include "model/event.h"

#include <stdlib.h>

static struct slice copy_to(char **at, struct slice source)
{
    char *copy = *at;
    if (source.len)
        memcpy(copy, source.data, source.len);
    *at += source.len;
    return slice_of(copy, source.len);
}

enum err event_new(const struct event_parts *parts, struct byte_budget *budget, int share_percent,
    struct event **ret_event)
{
    size_t texts = parts->partner.len + parts->account.len + parts->type.len + parts->key.len +
                   parts->amount.len + parts->currency.len + parts->traceparent.len +
                   parts->body.len;
    int64_t bytes = (int64_t)(sizeof(struct event) + texts);
    if (budget && !byte_budget_take(budget, bytes, share_percent))
        return ERR_OVERLOADED;
    struct event *event = malloc((size_t)bytes);
    if (!event) {
        if (budget)
            byte_budget_give_back(budget, bytes);
        return ERR_NO_MEMORY;
    }
    *event = (struct event){
        .parts = *parts,
        .references = 1,
        .budget = budget,
        .bytes = bytes,
    };
    char *at = (char *)(event + 1);
    struct slice *const slices[] = {&event->parts.partner, &event->parts.account,
        &event->parts.type, &event->parts.key, &event->parts.amount, &event->parts.currency,
        &event->parts.traceparent, &event->parts.body};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++)
        *slices[i] = copy_to(&at, *slices[i]);
    *ret_event = event;
    return OK;
}

struct event *event_ref(struct event *event)
{
    atomic_fetch_add_explicit(&event->references, 1, memory_order_relaxed);
    return event;
}

void event_unref(struct event *event)
{
    if (!event || atomic_fetch_sub_explicit(&event->references, 1, memory_order_acq_rel) != 1)
        return;
    if (event->budget)
        byte_budget_give_back(event->budget, event->bytes);
    free(event);
}
