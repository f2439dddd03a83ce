/* SPDX-License-Identifier: Apache-2.0 */
/* JOURNAL_START, JOURNAL_SETTLE and JOURNAL_RELEASE: deliveries move on. */
#include "journal/store.h"

#include <assert.h>

static enum err move(struct store *store, struct journal_request *request, bool is_start)
{
    const struct journal_settle *order = CONTAINER_OF(request, struct journal_settle, request);
    enum err result = ERR_BUG;
    assert(delivery_rows_may_move(order, is_start));
    if (delivery_rows_may_move(order, is_start)) {
        result = delivery_rows_move(&store->deliveries, order, is_start, store->now_us);
        if (result != ERR_MOVED_ON)
            return result;
    }
    /* The request's own failure: nothing was written for it, and the others of its transaction go on. */
    request->result = result;
    return OK;
}

enum err store_start(struct store *store, struct journal_request *request)
{
    return move(store, request, true);
}

enum err store_settle(struct store *store, struct journal_request *request)
{
    return move(store, request, false);
}

enum err store_release(struct store *store, struct journal_request *request)
{
    struct journal_release *release = CONTAINER_OF(request, struct journal_release, request);
    release->ret_count = 0;
    assert(release->reason == PARK_DISABLED || release->reason == PARK_GONE);
    return delivery_rows_release(
        &store->deliveries, release->endpoint, release->reason, release->count_max, store->now_us, &release->ret_count);
}

void store_undo_release(struct journal_request *request)
{
    CONTAINER_OF(request, struct journal_release, request)->ret_count = 0;
}
