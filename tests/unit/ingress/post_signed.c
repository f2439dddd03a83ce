/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(post_signed, .init = fixture_begin, .fini = fixture_end);

#define PATH "/v1/partners/shop/events"

static const struct secret old_secret = {"0123456789abcdef0123456789abcdef", 32};
static const struct secret new_secret = {"fedcba9876543210fedcba9876543210", 32};
static const struct secret no_secret = {{0}, 32};

static int64_t now_s(void)
{
    return clock_wall_us() / US_PER_SECOND;
}

static void sign(const struct secret *secret, const char *id, int64_t timestamp_s, const char *body,
    char ret_signature[SIGNATURE_TEXT_BYTES])
{
    struct hmac *hmac;
    cr_assert_eq(hmac_new(slice_of(secret->bytes, secret->len), &hmac), OK);
    signature_make(
        hmac, slice_from_string(id), timestamp_s, slice_from_string(body), ret_signature);
    hmac_free(hmac);
}

static int post(const char *path, const char *id, int64_t timestamp_s, const char *signature,
    const char *more, const char *body, struct answer *ret_answer)
{
    char headers[2048];
    int fd = client_connect();
    snprintf(headers, sizeof headers,
        "Content-Type: application/json\r\nwebhook-id: %s\r\nwebhook-timestamp: "
        "%lld\r\nwebhook-signature: %s\r\n%s",
        id, (long long)timestamp_s, signature, more);
    unsigned index = journal_count();
    client_post_to(fd, path, headers, slice_from_string(body));
    WAIT_UNTIL(client_has_answer(fd) || journal_count() > index);
    if (journal_count() > index)
        journal_answer(index, OK, NULL);
    client_receive(fd, ret_answer);
    close(fd);
    return ret_answer->status;
}

static int post_signed_by(
    const struct secret *secret, const char *path, int64_t timestamp_s, struct answer *ret_answer)
{
    char signature[SIGNATURE_TEXT_BYTES];
    sign(secret, "msg_1", timestamp_s, PURCHASE("o-1"), signature);
    return post(path, "msg_1", timestamp_s, signature, "", PURCHASE("o-1"), ret_answer);
}

Test(post_signed, any_active_secret_is_accepted)
{
    struct answer answer;
    shop_add_secret(&old_secret);
    cr_assert_eq(post_signed_by(&old_secret, PATH, now_s(), &answer), 200, "%s", answer.body);
    cr_assert(strstr(answer.body, "\"accepted\""));
    cr_assert_eq(post_signed_by(&new_secret, PATH, now_s(), &answer), 401);
    shop_add_secret(&new_secret);
    cr_assert_eq(post_signed_by(&new_secret, PATH, now_s(), &answer), 200);
    cr_assert_eq(post_signed_by(&old_secret, PATH, now_s(), &answer), 200);
    cr_assert_eq(journal_count(), 3);
}

Test(post_signed, one_valid_signature_of_several_is_enough)
{
    struct answer answer;
    char signature[SIGNATURE_TEXT_BYTES], list[1000];
    shop_add_secret(&old_secret);
    sign(&old_secret, "msg_1", now_s(), PURCHASE("o-1"), signature);
    snprintf(list, sizeof list,
        "v1,AAAA v2,%s v1a,xyz v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= %s", signature,
        signature);
    cr_assert_eq(
        post(PATH, "msg_1", now_s(), list, "", PURCHASE("o-1"), &answer), 200, "%s", answer.body);
    snprintf(list, sizeof list, "v2,%s", signature + 3);
    cr_assert_eq(post(PATH, "msg_1", now_s(), list, "", PURCHASE("o-1"), &answer), 401);
}

Test(post_signed, answer_does_not_show_whether_a_partner_exists)
{
    struct answer wrong, other;
    cr_assert_eq(post_signed_by(&old_secret, PATH, now_s(), &wrong), 401, "it has no secret yet");
    cr_assert(strstr(wrong.head, "www-authenticate: standard-webhooks\r\n"), "%s", wrong.head);
    cr_assert_eq(post_signed_by(&no_secret, PATH, now_s(), &other), 401, "nor is it this one");
    shop_add_secret(&old_secret);
    cr_assert_eq(post_signed_by(&new_secret, PATH, now_s(), &other), 401);
    cr_assert_str_eq(other.body, wrong.body);
    cr_assert_eq(post_signed_by(&old_secret, "/v1/partners/nobody/events", now_s(), &other), 401);
    cr_assert_str_eq(other.body, wrong.body);
    cr_assert_eq(post_signed_by(&no_secret, "/v1/partners/nobody/events", now_s(), &other), 401);
    cr_assert_str_eq(other.body, wrong.body);
    shop_set_enabled(false);
    cr_assert_eq(post_signed_by(&old_secret, PATH, now_s(), &other), 401);
    cr_assert_str_eq(other.body, wrong.body);
    cr_assert_eq(journal_count(), 0);
}

Test(post_signed, signature_covers_id_timestamp_and_body)
{
    struct answer answer;
    char signature[SIGNATURE_TEXT_BYTES];
    int64_t at = now_s();
    shop_add_secret(&old_secret);
    sign(&old_secret, "msg_1", at, PURCHASE("o-1"), signature);
    cr_assert_eq(post(PATH, "msg_2", at, signature, "", PURCHASE("o-1"), &answer), 401);
    cr_assert_eq(post(PATH, "msg_1", at + 1, signature, "", PURCHASE("o-1"), &answer), 401);
    cr_assert_eq(post(PATH, "msg_1", at, signature, "", PURCHASE("o-2"), &answer), 401);
    cr_assert_eq(post(PATH, "msg_1", at, signature, "", PURCHASE("o-1") " ", &answer), 401);
    cr_assert_eq(journal_count(), 0);
}

Test(post_signed, old_or_future_timestamp_is_rejected)
{
    struct answer answer;
    shop_add_secret(&old_secret);
    static const struct {
        int64_t age_s;
        int status;
    } cases[] = {{0, 200}, {290, 200}, {-290, 200}, {310, 401}, {-310, 401}, {86400, 401}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_eq(post_signed_by(&old_secret, PATH, now_s() - cases[i].age_s, &answer),
            cases[i].status, "case %zu", i);
}

Test(post_signed, missing_or_malformed_headers_are_rejected)
{
    static const char *const cases[] = {
        "",
        "webhook-id: msg_1\r\nwebhook-timestamp: 1\r\n",
        "webhook-id: msg_1\r\nwebhook-signature: v1,x\r\n",
        "webhook-timestamp: 1\r\nwebhook-signature: v1,x\r\n",
        "webhook-id: \r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,x\r\n",
        "webhook-id: msg_1\r\nwebhook-timestamp: 1e9\r\nwebhook-signature: v1,x\r\n",
        "webhook-id: caf\xc3\xa9\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,x\r\n",
        "Authorization: Bearer " TEST_KEY "\r\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char headers[512];
        struct answer answer;
        int fd = client_connect();
        snprintf(headers, sizeof headers, "Content-Type: application/json\r\n%s", cases[i]);
        client_post_to(fd, PATH, headers, SLICE_LITERAL(PURCHASE("o-1")));
        client_receive(fd, &answer);
        cr_expect_eq(answer.status, 401, "case %zu: %d", i, answer.status);
        close(fd);
    }
}

Test(post_signed, webhook_id_is_the_key_if_there_is_no_other_key)
{
    static const struct {
        const char *more, *body, *key; /* NULL: rejected, because that header is not signed */
    } cases[] = {
        {"", PURCHASE("o-1"), "o-1"},
        {"", "{\"type\":\"purchase\",\"account\":\"acc_1\"}", "msg.1 x"},
        {"", "{\"type\":\"note\",\"account\":\"acc_1\"}", "msg.1 x"},
        {"Idempotency-Key: h\r\n", PURCHASE("o-1"), NULL},
    };
    shop_add_secret(&old_secret);
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        char headers[2048], signature[SIGNATURE_TEXT_BYTES];
        struct answer answer;
        int fd = client_connect();
        sign(&old_secret, "msg.1 x", now_s(), cases[i].body, signature);
        snprintf(headers, sizeof headers,
            "Content-Type: application/json\r\nwebhook-id: msg.1 x\r\nwebhook-timestamp: %lld\r\n"
            "webhook-signature: %s\r\n%s",
            (long long)now_s(), signature, cases[i].more);
        client_post_to(fd, PATH, headers, slice_from_string(cases[i].body));
        if (cases[i].key) {
            cr_expect(slice_equals_string(journal_request(i)->event->parts.key, cases[i].key),
                "case %u", i);
            journal_answer(i, OK, NULL);
        }
        client_receive(fd, &answer);
        cr_expect_eq(answer.status, cases[i].key ? 200 : 422, "case %u", i);
        close(fd);
    }
}
