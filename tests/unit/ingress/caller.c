/* SPDX-License-Identifier: Apache-2.0 */
/* Who may post: keys with an end and a scope, and the rules of a partner. */
#include "fixture.h"

#include "runtime/metrics.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(caller, .init = fixture_begin, .fini = fixture_end);

#define JSON "Content-Type: application/json\r\n"
#define LEAD(id) "{\"id\":\"" id "\",\"type\":\"lead\",\"account\":\"acc_1\"}"

static struct answer answer;

/* Posts with a key, and answers OK for the journal if the event gets there. */
static int post_to(const char *path, const char *headers, const char *key, const char *body)
{
    char text[512];
    int fd = client_connect();
    unsigned index = journal_count();
    snprintf(text, sizeof text, "%sAuthorization: Bearer %s\r\n", headers, key);
    client_post_to(fd, path, text, slice_from_string(body));
    WAIT_UNTIL(client_has_answer(fd) || journal_count() > index);
    if (journal_count() > index)
        journal_answer(index, OK, NULL);
    client_receive(fd, &answer);
    close(fd);
    return answer.status;
}

static int post(const char *key, const char *body)
{
    return post_to("/v1/events", JSON, key, body);
}

Test(caller, keys_that_are_unknown_expired_or_of_a_disabled_partner_get_one_answer)
{
    static struct answer unknown;
    struct credential expiring = {.expires_us = clock_wall_us() + US_PER_SECOND};
    int64_t expired = metrics_read(METRIC_ACCESS_EXPIRED_KEY),
            no_key = metrics_read(METRIC_ACCESS_UNKNOWN_KEY),
            disabled = metrics_read(METRIC_ACCESS_PARTNER);
    shop_add_key("pk_expiring", &expiring);
    cr_assert_eq(post("pk_expiring", LEAD("1")), 200, "%s", answer.body);
    cr_assert_eq(post("pk_nobody", LEAD("1")), 401);
    unknown = answer;
    WAIT_UNTIL(clock_wall_us() > expiring.expires_us);
    cr_assert_eq(post("pk_expiring", LEAD("2")), 401);
    cr_expect_str_eq(answer.body, unknown.body);
    cr_assert_eq(post(TEST_KEY, LEAD("2")), 200, "another key of the partner still works");
    shop_set_enabled(false);
    cr_assert_eq(post(TEST_KEY, LEAD("3")), 401);
    cr_expect_str_eq(answer.body, unknown.body);
    cr_expect_eq(metrics_read(METRIC_ACCESS_EXPIRED_KEY), expired + 1);
    cr_expect_eq(metrics_read(METRIC_ACCESS_UNKNOWN_KEY), no_key + 1);
    cr_expect_eq(metrics_read(METRIC_ACCESS_PARTNER), disabled + 1);
}

Test(caller, last_use_is_that_of_an_accepted_key)
{
    int64_t before_us = clock_wall_us();
    cr_expect_eq(key_last_use(TEST_KEY), 0);
    shop_change_rules("{\"allow_networks\":[\"10.0.0.0/8\"]}");
    cr_assert_eq(post(TEST_KEY, LEAD("1")), 403);
    cr_expect_eq(key_last_use(TEST_KEY), 0, "a post from elsewhere is no use");
    shop_change_rules("{}");
    cr_assert_eq(post(TEST_KEY, LEAD("1")), 200);
    cr_expect(key_last_use(TEST_KEY) >= before_us && key_last_use(TEST_KEY) <= clock_wall_us());
}

Test(caller, posts_come_from_the_networks_of_the_partner)
{
    int64_t refused = metrics_read(METRIC_ACCESS_ADDRESS);
    shop_change_rules("{\"allow_networks\":[\"10.0.0.0/8\",\"::/0\"]}");
    cr_assert_eq(post(TEST_KEY, LEAD("1")), 403);
    cr_expect(strstr(answer.body, "127.0.0.1"), "it names the address: %s", answer.body);
    cr_assert_eq(
        post_to("/v1/events/batch", "Content-Type: application/x-ndjson\r\n", TEST_KEY, LEAD("1")),
        403);
    cr_assert_eq(post("pk_nobody", LEAD("1")), 401, "the key comes first");
    cr_expect_eq(metrics_read(METRIC_ACCESS_ADDRESS), refused + 2);
    cr_expect_eq(journal_count(), 0);
    shop_change_rules("{\"allow_networks\":[\"10.0.0.0/8\",\"127.0.0.0/8\"]}");
    cr_assert_eq(post(TEST_KEY, LEAD("1")), 200, "%s", answer.body);
}

Test(caller, required_certificate_is_needed_beside_the_key)
{
    int64_t refused = metrics_read(METRIC_ACCESS_CERTIFICATE);
    shop_change_rules("{\"certificates\":[\"dns:a.example\"]}");
    cr_assert_eq(post(TEST_KEY, LEAD("1")), 200, "none is required");
    shop_change_rules("{\"certificates\":[\"dns:a.example\"],\"certificate_required\":true}");
    cr_assert_eq(post(TEST_KEY, LEAD("2")), 403);
    cr_expect(strstr(answer.body, "client certificate"), "%s", answer.body);
    cr_expect_eq(metrics_read(METRIC_ACCESS_CERTIFICATE), refused + 1);
}

Test(caller, signed_posts_obey_the_rules_after_the_signature)
{
    static const struct secret secret = {"0123456789abcdef0123456789abcdef", 32};
    char signature[SIGNATURE_TEXT_BYTES], headers[512];
    struct hmac *hmac;
    int64_t now_s = clock_wall_us() / US_PER_SECOND,
            refused = metrics_read(METRIC_ACCESS_SIGNATURE);
    shop_add_secret(&secret);
    shop_change_rules("{\"allow_networks\":[\"10.0.0.0/8\"]}");
    cr_assert_eq(hmac_new(slice_of(secret.bytes, secret.len), &hmac), OK);
    signature_make(hmac, SLICE_LITERAL("m"), now_s, SLICE_LITERAL(LEAD("1")), signature);
    hmac_free(hmac);
    snprintf(headers, sizeof headers,
        JSON "webhook-id: m\r\nwebhook-timestamp: %lld\r\nwebhook-signature: %s\r\n",
        (long long)now_s, signature);
    cr_assert_eq(post_to("/v1/partners/shop/events", headers, "x", LEAD("1")), 403);
    cr_expect(strstr(answer.body, "127.0.0.1"), "%s", answer.body);
    cr_assert_eq(post_to("/v1/partners/shop/events", headers, "x", LEAD("2")), 401,
        "a wrong signature shows nothing of the rules");
    cr_expect_eq(metrics_read(METRIC_ACCESS_SIGNATURE), refused + 1);
    shop_change_rules("{}");
    cr_assert_eq(
        post_to("/v1/partners/shop/events", headers, "x", LEAD("1")), 200, "%s", answer.body);
}

Test(caller, scope_of_a_key_names_the_field_that_is_outside)
{
    int64_t refused = metrics_read(METRIC_ACCESS_SCOPE);
    struct credential leads = {.expires_us = 0}, account = {.expires_us = 0};
    cr_assert(type_list_add(&leads.scope.types, SLICE_LITERAL("lead*")));
    cr_assert(key_scope_add_account(&account.scope, SLICE_LITERAL("acc_1")));
    shop_add_key("pk_leads", &leads);
    shop_add_key("pk_account", &account);
    cr_assert_eq(post("pk_leads", LEAD("1")), 200, "%s", answer.body);
    cr_assert_eq(post("pk_leads", PURCHASE("1")), 403);
    cr_expect(strstr(answer.body, "\"/type\"") && !strstr(answer.body, "\"/account\""), "%s",
        answer.body);
    cr_assert_eq(post("pk_account", PURCHASE("2")), 200, "%s", answer.body);
    cr_assert_eq(post("pk_account", "{\"id\":\"3\",\"type\":\"lead\",\"account\":\"acc_2\"}"), 403);
    cr_expect(
        strstr(answer.body, "\"/account\"") && strstr(answer.body, "scope"), "%s", answer.body);
    cr_expect_eq(metrics_read(METRIC_ACCESS_SCOPE), refused + 2);

    cr_assert_eq(post_to("/v1/events/batch", "Content-Type: application/x-ndjson\r\n", "pk_leads",
                     LEAD("4") "\n" PURCHASE("4") "\n"),
        200, "%s", answer.body);
    cr_expect(strstr(answer.body, "\"accepted\"") && strstr(answer.body, "\"status\":403"), "%s",
        answer.body);
    cr_expect_eq(metrics_read(METRIC_ACCESS_SCOPE), refused + 3);
}

Test(caller, two_authorization_headers_are_refused)
{
    cr_assert_eq(
        post_to("/v1/events", JSON "Authorization: Bearer pk_nobody\r\n", TEST_KEY, LEAD("1")),
        400);
    cr_assert_eq(
        post_to("/v1/events", JSON "Authorization: Bearer " TEST_KEY "\r\n", TEST_KEY, LEAD("1")),
        400, "the same key twice is refused as well");
    cr_expect_eq(journal_count(), 0);
}
