/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/attempt_row.h"

#include "journal/checksum.h"

#include <stdio.h>

#define ERROR_NAME_BYTES 32

/* ERR_BUG when no error is called so. */
static enum err error_of(struct slice name)
{
    char text[ERROR_NAME_BYTES];
    if (name.len >= sizeof text)
        return ERR_BUG;
    snprintf(text, sizeof text, "%.*s", SLICE_ARGS(name));
    return err_from_name(text);
}

bool attempt_row_take(const struct sql_use *use, int64_t *ret_delivery, struct attempt *ret_attempt)
{
    struct slice error = sql_column_slice(use, 5), excerpt = sql_column_slice(use, 11);
    *ret_delivery = sql_column_int(use, 0);
    *ret_attempt = (struct attempt){
        .number = (uint32_t)sql_column_int(use, 1),
        .started_us = sql_column_int(use, 2),
        .duration_us = sql_column_int(use, 3),
        .end =
            {
                .http_status = (int)sql_column_int(use, 4),
                .error = error_of(error),
                .request_begun = sql_column_int(use, 6) != 0,
            },
        .reach =
            {
                .warm = sql_column_int(use, 7) != 0,
                .request_complete = sql_column_int(use, 8) != 0,
                .request_bytes = (uint32_t)sql_column_int(use, 9),
                .answer_bytes = (uint32_t)sql_column_int(use, 10),
            },
        .excerpt_len =
            (uint32_t)(excerpt.len < sizeof ret_attempt->excerpt ? excerpt.len
                                                                 : sizeof ret_attempt->excerpt),
    };
    if (ret_attempt->excerpt_len)
        memcpy(ret_attempt->excerpt, excerpt.data, ret_attempt->excerpt_len);
    return checksum_attempt(*ret_delivery, ret_attempt) == sql_column_int(use, 12);
}
