/* SPDX-License-Identifier: Apache-2.0 */
/* Every text of tests/support/json_corpus.txt, as a whole body and as the data of a valid event. */
#include "base/buffer.h"
#include "model/event_fields.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define GOOD_EVENT "{\"type\":\"lead\",\"account\":\"acc_42\",\"data\":"

static const struct hash_seed seed = {{2, 7, 1, 8}};

static struct slice decode(char *text)
{
    char *out = text;
    for (const char *at = text; *at && *at != '\n'; at++) {
        unsigned byte = (unsigned char)*at;
        if (*at == '%') {
            cr_assert_eq(sscanf(at + 1, "%2x", &byte), 1, "%s", text);
            at += 2;
        }
        *out++ = (char)byte;
    }
    return slice_of(text, (size_t)(out - text));
}

static enum err parse(struct slice text, struct refusal *ret_refusal)
{
    /* An exact copy on the heap, so that AddressSanitizer detects a read beyond the end. */
    char *exact = malloc(text.len ? text.len : 1);
    if (text.len)
        memcpy(exact, text.data, text.len);
    struct event_fields fields;
    enum err result = event_fields_parse(
        &seed, slice_of(exact, text.len), slice_of(NULL, 0), &fields, ret_refusal);
    free(exact);
    return result;
}

static void check(struct slice text, bool is_good, unsigned line)
{
    struct refusal refusal;
    bool is_object =
        text.len > 0 && memchr("{ \t\r\n", text.data[0], 5) && memchr(text.data, '{', text.len);
    cr_expect_eq(parse(text, &refusal), is_good && is_object ? ERR_INVALID : ERR_MALFORMED_JSON,
        "line %u, whole: %s", line, refusal.detail);
    struct buffer body = BUFFER_EMPTY;
    buffer_add_string(&body, GOOD_EVENT);
    buffer_add_slice(&body, text);
    buffer_add_char(&body, '}');
    cr_expect_eq(parse(buffer_slice(&body), &refusal), is_good ? OK : ERR_MALFORMED_JSON,
        "line %u, as data: %s", line, refusal.detail);
    buffer_done(&body);
}

Test(json_corpus, exactly_the_valid_texts_are_accepted)
{
    FILE *file = fopen(PENSTOCK_SOURCE_DIR "/tests/support/json_corpus.txt", "re");
    cr_assert_not_null(file);
    char line[512];
    unsigned number = 0, good = 0, bad = 0;
    while (fgets(line, sizeof line, file)) {
        number++;
        if (line[0] != '+' && line[0] != '-')
            continue;
        bool is_good = line[0] == '+';
        good += is_good;
        bad += !is_good;
        check(line[1] == ' ' ? decode(line + 2) : slice_of("", 0), is_good, number);
    }
    fclose(file);
    cr_assert(good > 100 && bad > 250, "%u good, %u bad", good, bad);
}
