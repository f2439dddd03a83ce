/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a request: method, target, authority and fields, from HTTP/1 or HTTP/2. The head owns
 * a copy of its bytes. Both protocols have the same limits.
 */
#ifndef PENSTOCK_HTTP_HEAD_H
#define PENSTOCK_HTTP_HEAD_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Real requests have 10 to 20 fields and about 1 KiB. A trace of several proxies or a long cookie
 * may add some KiB. Bytes are counted as in HPACK: name, value, and 32 for each field, so that many
 * empty fields count as well.
 */
#define HEAD_BYTES_MAX (16 * 1024)
#define HEAD_FIELDS_MAX 64

struct head_part {
    uint32_t at, len; /* in `text` */
};

struct head_field {
    struct head_part name, value; /* the name in lower case */
};

struct head {
    char *text;
    uint32_t text_len, text_capacity;
    uint32_t counted_bytes; /* as HEAD_BYTES_MAX counts */
    unsigned fields_count;
    bool is_too_large; /* a limit was reached: the rest was not stored */
    struct head_part method, target, authority;
    struct head_field fields[HEAD_FIELDS_MAX];
};

/* Only `fields` may be uninitialized. */
void head_begin(struct head *head);
void head_done(struct head *head);

/* Each copies. Beyond a limit they store nothing and set is_too_large. */
void head_set_method(struct head *head, struct slice method);
/* An absolute target (http://host/path) sets the authority and leaves the path. */
void head_set_target(struct head *head, struct slice target);
void head_set_authority(struct head *head, struct slice authority);
void head_add_field(struct head *head, struct slice name, struct slice value);

static inline struct slice head_slice(const struct head *head, struct head_part part)
{
    return slice_of(head->text + part.at, part.len);
}

struct slice head_path(const struct head *head);  /* without the query */
struct slice head_query(const struct head *head); /* after '?'; may be empty */
/* The first field of that name. If absent, `data` is NULL. */
struct slice head_find(const struct head *head, const char *lower_case_name);

#endif
