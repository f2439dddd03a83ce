/* SPDX-License-Identifier: Apache-2.0 */
/* One request on its way: an event, or a batch of them, with all that its log records will say.
 * Belongs to its sender's thread. */
#ifndef PENSTOCK_BENCH_LOAD_SENDING_H
#define PENSTOCK_BENCH_LOAD_SENDING_H

#include "base/buffer.h"
#include "base/list.h"
#include "common/run_log.h"

struct connection;

struct sending {
    struct list
        link; /* in one of: the sender's re-sends, its free ones; on its connection meanwhile */
    struct list in_patience;       /* while in flight, in order of patience_until_us */
    struct connection *connection; /* while in flight */
    int32_t stream;
    int64_t due_us; /* of a re-send */
    int64_t patience_until_us;

    unsigned records_count;
    struct load_record *records; /* room for the batch size */
    struct buffer body;
    size_t body_at; /* sent so far */

    int status; /* 0: none yet */
    int64_t retry_after_us;
    struct buffer answer;
};

#endif
