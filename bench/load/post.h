/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an event is posted to a target that is not Penstock, and how its answer is read
 * (bench/targets/README.md). bench/run makes the file of --post from a target file:
 *
 *   {"method": "POST", "path": "/hooks/{account}", "http": "1.1",
 *    "headers": [["content-type", "application/json"], ...], "body": "{body}",
 *    "accepted": "200-299", "duplicate": "409", "id": "json:/id"}
 *
 * All members are needed. The templates are compiled when the file is read. post_make renders the
 * parts of one request; it is a pure function of the event and its time. A request is rendered when
 * it is prepared, and a re-send has the same bytes.
 *
 * Bounds: POST_FILE_BYTES_MAX, POST_HEADERS_MAX, and those of the templates. Failures at the start
 * name the member and the reason. There are no failures later, except memory, which ends the
 * program.
 */
#ifndef PENSTOCK_BENCH_LOAD_POST_H
#define PENSTOCK_BENCH_LOAD_POST_H

#include "common/selector.h"
#include "load/mix.h"
#include "load/template.h"
#include "model/status_set.h"

#define POST_FILE_BYTES_MAX (256 * 1024)
#define POST_HEADERS_MAX 24
#define POST_METHOD_BYTES 8
#define POST_NAME_BYTES 128
#define POST_COMPLAINT_BYTES 320
#define POST_HEAD_PARTS_MAX (1 + POST_HEADERS_MAX)

struct post {
    char method[POST_METHOD_BYTES];
    bool is_http1;
    struct template path, body;
    unsigned headers_count;
    struct {
        char name[POST_NAME_BYTES]; /* in lower case */
        struct template value;
    } headers[POST_HEADERS_MAX];
    struct status_set accepted, duplicate;
    struct selector id;
};

/* The path and the values of the headers, one behind the other. */
struct post_head {
    struct buffer text;
    uint32_t ends[POST_HEAD_PARTS_MAX];
};

/* Returns NULL, with a complaint that names the file or the member. */
struct post *post_read(const char *file, char ret_complaint[POST_COMPLAINT_BYTES]);
void post_free(struct post *post);

/* Replaces the contents of the head and the body. `due_us` is the event's {due_us}. */
void post_make(const struct post *post, const struct mix *mix, const struct mix_event *event,
    int64_t due_us, struct post_head *head, struct buffer *body);
/* Part 0 is the path, part n the value of header n - 1. */
struct slice post_head_part(const struct post_head *head, unsigned part);

#endif
