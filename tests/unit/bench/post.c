/* SPDX-License-Identifier: Apache-2.0 */
#include "load/post.h"
#include "load/answer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#define POST                                                                                   \
    "{\"method\":\"PUT\",\"http\":\"1.1\",\"path\":\"/a/{account}\",\"accepted\":\"202,204\"," \
    "\"duplicate\":\"200\",\"id\":\"json:/m/id\",\"body\":\"<{key} {amount} {currency} "       \
    "{due_us}>{filling}\",\"headers\":[[\"X-Key\",\"{key}\"],[\"x-b\",\"{type}\"]]}"

static struct post *read_text(const char *text, char complaint[POST_COMPLAINT_BYTES])
{
    char file[] = "/tmp/penstock-post-XXXXXX";
    int fd = mkstemp(file);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    struct post *post = post_read(file, complaint);
    unlink(file);
    return post;
}

static struct post *read_right(const char *text)
{
    char complaint[POST_COMPLAINT_BYTES] = "";
    struct post *post = read_text(text, complaint);
    cr_assert(post, "%s", complaint);
    return post;
}

/* The right file with one member replaced. */
static void expect_complaint(const char *member, const char *value, const char *complaint)
{
    char found[POST_COMPLAINT_BYTES] = "";
    json_t *root = json_loads(POST, 0, NULL);
    json_object_set_new(root, member, json_loads(value, JSON_DECODE_ANY, NULL));
    char *text = json_dumps(root, 0);
    cr_assert_null(read_text(text, found), "%s", text);
    cr_assert(strstr(found, complaint), "%s: %s", text, found);
    free(text);
    json_decref(root);
}

static struct mix mix;

static void make_mix(void)
{
    mix_init(&mix);
    cr_assert(mix_set_accounts(&mix, "acc_7") && mix_set_types(&mix, "purchase=1"));
    strcpy(mix.run, "r1");
}

Test(post, a_request_has_the_event_in_its_places)
{
    make_mix();
    struct post *post = read_right(POST);
    struct mix_event event = {.original = 12, .amount_micros = 129900000, .currency = "USD"};
    struct post_head head = {0};
    struct buffer body = BUFFER_EMPTY;
    for (unsigned i = 0; i < 2; i++) { /* also into used buffers */
        post_make(post, &mix, &event, 1700000000000000, &head, &body);
        cr_assert(slice_equals_string(post_head_part(&head, 0), "/a/acc_7"));
        cr_assert(slice_equals_string(post_head_part(&head, 1), "r1-12"));
        cr_assert(slice_equals_string(post_head_part(&head, 2), "purchase"));
        cr_assert(slice_starts_with(buffer_slice(&body), "<r1-12 129.90 USD 1700000000000000>"));
        cr_assert(body.len >= 400 && body.len <= 540, "%zu", body.len);
    }
    cr_assert_str_eq(post->headers[0].name, "x-key");
    buffer_done(&head.text);
    buffer_done(&body);
    post_free(post);
    mix_done(&mix);
}

Test(post, the_same_event_has_the_same_bytes)
{
    make_mix();
    struct post *post =
        read_right("{\"method\":\"POST\",\"http\":\"2\",\"path\":\"/\",\"accepted\":\"200\","
                   "\"duplicate\":\"\",\"id\":\"none\",\"body\":\"{body}\",\"headers\":[]}");
    struct mix_event event;
    struct post_head head = {0};
    struct buffer one = BUFFER_EMPTY, two = BUFFER_EMPTY;
    static char body[MIX_BODY_BYTES_MAX];
    mix_event(&mix, 3, &event);
    post_make(post, &mix, &event, 1, &head, &one);
    post_make(post, &mix, &event, 2, &head, &two);
    cr_assert(slice_equal(buffer_slice(&one), buffer_slice(&two)));
    cr_assert(slice_equal(buffer_slice(&one), slice_of(body, mix_body(&mix, &event, body))));
    buffer_done(&head.text);
    buffer_done(&one);
    buffer_done(&two);
    post_free(post);
    mix_done(&mix);
}

Test(post, a_wrong_member_is_named)
{
    expect_complaint("method", "\"GET\"", "method: should be POST, PUT or PATCH");
    expect_complaint("http", "\"3\"", "http: should be 1.1 or 2");
    expect_complaint("path", "\"a\"", "path: should begin with /");
    expect_complaint("path", "\"/a b\"", "path: should begin with /");
    expect_complaint("path", "\"/{body}\"", "path: {body} is not allowed here");
    expect_complaint("body", "\"{ammount}\"", "body: {ammount} is not a placeholder");
    expect_complaint("body", "7", "body: should be a text");
    expect_complaint("accepted", "\"2xx\"", "accepted: should be statuses");
    expect_complaint("duplicate", "\"200 201\"", "duplicate: should be statuses");
    expect_complaint("id", "\"body\"", "id: should be");
    expect_complaint("id", "\"json:id\"", "id: should be");
    expect_complaint("headers", "[[\"Host\",\"x\"]]", "Host: is set by the generator");
    expect_complaint("headers", "[[\"a b\",\"x\"]]", "a b: is not the name of a header");
    expect_complaint("headers", "[[\"a\",\"x\\r\\nb: c\"]]", "a: should have printable");
    expect_complaint("headers", "[[\"a\"]]", "headers: should be pairs");
}

Test(post, headers_and_the_file_are_bounded)
{
    char text[4096] = "[[\"a\",\"\"]", found[POST_COMPLAINT_BYTES] = "";
    for (unsigned i = 1; i <= POST_HEADERS_MAX; i++)
        strcat(text, ",[\"a\",\"\"]");
    expect_complaint("headers", strcat(text, "]"), "headers: should be at most 24");
    cr_assert_null(post_read("/nonexistent", found));
    cr_assert(strstr(found, "cannot be read"), "%s", found);
    char *large = calloc(1, POST_FILE_BYTES_MAX + 2);
    memset(large, ' ', POST_FILE_BYTES_MAX + 1);
    cr_assert_null(read_text(large, found));
    cr_assert(strstr(found, "more than 256 KiB"), "%s", found);
    free(large);
}

static struct load_record record;

static void answer_with(const struct post *post, int status, const char *text)
{
    record = (struct load_record){0};
    struct sending sending = {.status = status, .records = &record, .records_count = 1};
    buffer_add_string(&sending.answer, text);
    answer_read(&sending, post, false);
    buffer_done(&sending.answer);
}

Test(post, statuses_say_what_an_answer_means_and_the_id_is_found)
{
    struct post *post = read_right(POST);
    unsigned char id[16], number[16];
    run_log_id(SLICE_LITERAL("x-1"), id);
    run_log_id(SLICE_LITERAL("17"), number);
    answer_with(post, 202, "{\"m\":{\"id\":\"x-1\"}}");
    cr_assert(record.answer == LOAD_SAID_ACCEPTED && memcmp(record.event, id, 16) == 0);
    answer_with(post, 200, "{\"m\":{\"id\":17}}");
    cr_assert(record.answer == LOAD_SAID_DUPLICATE && memcmp(record.event, number, 16) == 0);
    answer_with(post, 201, "{\"m\":{\"id\":\"x-1\"}}");
    cr_assert_eq(record.answer, LOAD_SAID_NOTHING);
    cr_assert_eq(record.status, 201);
    for (unsigned i = 0; i < 5; i++) {
        static const char *const texts[] = {"", "{", "{\"m\":{}}", "{\"m\":[\"x\"]}", "null"};
        answer_with(post, 204, texts[i]);
        cr_assert_eq(record.answer, LOAD_SAID_OTHER, "%s", texts[i]);
    }
    post_free(post);
}
