/* SPDX-License-Identifier: Apache-2.0 */
/* One request: an event, or a batch of events, with the contents of its log records. It belongs to
 * its sender's thread. */
#ifndef PENSTOCK_BENCH_LOAD_SENDING_H
#define PENSTOCK_BENCH_LOAD_SENDING_H

#include "base/buffer.h"
#include "base/list.h"
#include "common/run_log.h"
#include "load/post.h"

struct connection;

struct sending {
    struct list link; /* in the sender's re-sends or free ones, or in its connection's list */
    struct list in_patience;       /* while in flight, in order of patience_until_us */
    struct connection *connection; /* while in flight */
    int32_t stream;
    int64_t due_us; /* of a re-send */
    int64_t patience_until_us;

    unsigned records_count;
    struct load_record *records; /* one for each event; room for the batch size */
    struct post_head head;       /* of --post */
    struct buffer body;
    size_t body_at; /* bytes sent so far */

    int status; /* 0: none yet */
    int64_t retry_after_us;
    unsigned char id[16]; /* run_log_id of the header that has the target's id; zeros: none */
    struct buffer answer;
};

#endif
