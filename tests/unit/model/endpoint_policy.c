/* SPDX-License-Identifier: Apache-2.0 */
#include "model/endpoint_policy.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/crypto.h"
#include "model/refusal.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>

#define S US_PER_SECOND

static const struct endpoint_policy *parse(const char *json)
{
    const struct endpoint_policy *policy = NULL;
    struct refusal refusal = {0};
    enum err err = endpoint_policy_parse(slice_from_string(json), NULL, &policy, &refusal);
    cr_assert_eq(err, OK, "%s: %s %s %s", json, refusal.detail, refusal.problems.list[0].pointer,
        refusal.problems.list[0].detail);
    return policy;
}

/* The pointers of what is wrong, with a space between two. */
static const char *wrong_pointers(const char *json)
{
    static char text[1024];
    const struct endpoint_policy *policy = NULL;
    struct refusal refusal = {0};
    text[0] = '\0';
    cr_assert_eq(endpoint_policy_parse(slice_from_string(json), NULL, &policy, &refusal),
        ERR_INVALID, "%s", json);
    cr_assert_null(policy);
    cr_assert_gt(refusal.problems.count, 0, "%s", json);
    for (unsigned i = 0; i < refusal.problems.count; i++) {
        cr_expect_gt(strlen(refusal.problems.list[i].detail), 10);
        strcat(strcat(text, i ? " " : ""), refusal.problems.list[i].pointer);
    }
    return text;
}

static const struct delivery_rules defaults = {
    .schedule = {.steps_us = {S, 5 * S}, .steps = 2},
    .retry_after_us_max = 7200 * S,
    .connect_timeout_us = 5 * S,
    .answer_timeout_us = 30 * S,
    .guarded_answer_timeout_us = 90 * S,
    .in_flight_max = 32,
};

static struct delivery_rules rules_of(const struct endpoint_policy *policy, enum event_class class)
{
    struct delivery_rules rules;
    memset(&rules, 0xff, sizeof rules);
    endpoint_policy_rules(policy, class, &defaults, &rules);
    return rules;
}

Test(endpoint_policy, without_a_policy_or_members_the_defaults_count)
{
    const struct endpoint_policy *empty = parse(" { } ");
    const struct endpoint_policy *policies[] = {NULL, empty};
    for (size_t i = 0; i < ARRAY_LENGTH(policies); i++) {
        const struct endpoint_policy *policy = policies[i];
        for (unsigned class = 0; class < 4; class ++) {
            struct delivery_rules rules = rules_of(policy, (enum event_class) class);
            cr_expect_arr_eq(&rules, &defaults, sizeof rules);
        }
        const char *const *headers;
        cr_expect_eq(endpoint_policy_headers(policy, &headers), 0);
        cr_expect_eq(endpoint_policy_rate_max(policy), 0);
        cr_expect_eq(endpoint_policy_http(policy), ENDPOINT_HTTP_1);
        cr_expect_null(endpoint_policy_tls(policy));
        cr_expect_null(endpoint_policy_success(policy));
        cr_expect_null(endpoint_policy_probe(policy));
    }
    cr_expect_str_eq(endpoint_policy_text(empty).data, "{}");
    endpoint_policy_unref(empty);
    endpoint_policy_unref(NULL);
    cr_expect_null(endpoint_policy_ref(NULL));
}

Test(endpoint_policy, class_has_its_own_members_before_those_of_the_endpoint)
{
    const struct endpoint_policy *policy = parse(
        "{\"retry_schedule\":[\"2s\",\"1m\",\"1h\"],\"horizon\":\"3d\",\"connect_timeout\":\"1s\","
        "\"answer_timeout\":\"10s\",\"guarded_answer_timeout\":\"2m\",\"in_flight_max\":8,"
        "\"final_statuses\":[\"400-499\",301],\"rate_max\":12.5,\"http\":\"2\",\"classes\":{"
        "\"critical\":{\"retry_schedule\":[\"1s\"],\"horizon\":\"30d\",\"final_statuses\":[],"
        "\"in_flight_max\":16,\"guarded_answer_timeout\":\"5m\"},"
        "\"optional\":{\"horizon\":\"10m\",\"answer_timeout\":\"1s\",\"connect_timeout\":null}}}");
    struct delivery_rules critical = rules_of(policy, CLASS_CRITICAL),
                          important = rules_of(policy, CLASS_IMPORTANT),
                          optional = rules_of(policy, CLASS_OPTIONAL);
    cr_expect_eq(important.schedule.steps, 3);
    cr_expect_eq(important.schedule.steps_us[2], 3600 * S);
    cr_expect_eq(important.horizon_us, 3 * US_PER_DAY);
    cr_expect_eq(important.connect_timeout_us, S);
    cr_expect_eq(important.answer_timeout_us, 10 * S);
    cr_expect_eq(important.guarded_answer_timeout_us, 120 * S);
    cr_expect_eq(important.retry_after_us_max, 7200 * S);
    cr_expect_eq(important.in_flight_max, 8);
    cr_expect(status_set_has(&important.final_statuses, 404));
    cr_expect(status_set_has(&important.final_statuses, 301));
    cr_expect_not(status_set_has(&important.final_statuses, 302));
    cr_expect_eq(critical.schedule.steps, 1);
    cr_expect_eq(critical.horizon_us, 30 * US_PER_DAY);
    cr_expect_eq(critical.in_flight_max, 16);
    cr_expect_eq(critical.guarded_answer_timeout_us, 300 * S);
    cr_expect_eq(critical.answer_timeout_us, 10 * S, "not set for the class");
    cr_expect_arr_eq(&critical.final_statuses, &(struct status_set){0},
        sizeof critical.final_statuses, "an empty list is a value");
    cr_expect_eq(optional.schedule.steps, 3);
    cr_expect_eq(optional.horizon_us, 600 * S);
    cr_expect_eq(optional.answer_timeout_us, S);
    cr_expect_eq(optional.connect_timeout_us, S, "null is as if the member were absent");
    cr_expect_float_eq(endpoint_policy_rate_max(policy), 12.5, 1e-9);
    cr_expect_eq(endpoint_policy_http(policy), ENDPOINT_HTTP_2);
    endpoint_policy_unref(policy);
}

Test(endpoint_policy, final_ranges_leave_out_what_is_never_final)
{
    const struct endpoint_policy *policy = parse("{\"final_statuses\":[\"300-499\"]}");
    struct delivery_rules rules = rules_of(policy, CLASS_IMPORTANT);
    for (int status = 100; status < 600; status++)
        cr_expect_eq(status_set_has(&rules.final_statuses, status),
            status >= 300 && status < 500 && status != 408 && status != 410 && status != 425 &&
                status != 429,
            "%d", status);
    endpoint_policy_unref(policy);
}

Test(endpoint_policy, headers_are_ready_to_send)
{
    static const struct {
        const char *json, *headers;
    } cases[] = {
        {"{\"headers\":{\"X-Partner\":\"7\",\"X-Api-Key\":\"a b\"}}",
            "X-Partner: 7|X-Api-Key: a b|"},
        {"{\"authorization\":{\"bearer\":\"t0ken\"}}", "Authorization: Bearer t0ken|"},
        {"{\"authorization\":{\"basic\":{\"user\":\"Aladdin\",\"password\":\"open sesame\"}}}",
            "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==|"}, /* RFC 7617 */
        {"{\"authorization\":{\"basic\":{\"user\":\"test\",\"password\":\"123\\u00a3\"}}}",
            "Authorization: Basic dGVzdDoxMjPCow==|"},
        {"{\"authorization\":{\"bearer\":\"t\"},\"headers\":{\"X-A\":\"1\"}}",
            "Authorization: Bearer t|X-A: 1|"},
        {"{\"headers\":{}}", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct endpoint_policy *policy = parse(cases[i].json);
        const char *const *headers;
        char all[512] = "";
        unsigned count = endpoint_policy_headers(policy, &headers);
        for (unsigned k = 0; k < count; k++)
            strcat(strcat(all, headers[k]), "|");
        cr_expect_str_eq(all, cases[i].headers);
        endpoint_policy_unref(policy);
    }
}

Test(endpoint_policy, sixteen_headers_and_a_credential_fit)
{
    char json[20000] = "{\"authorization\":{\"bearer\":\"t\"},\"headers\":{";
    for (int i = 0; i < POLICY_HEADERS_MAX; i++)
        sprintf(json + strlen(json), "%s\"X-%d\":\"%0*d\"", i ? "," : "", i,
            POLICY_HEADER_VALUE_BYTES_MAX, i);
    strcat(json, "}}");
    const struct endpoint_policy *policy = parse(json);
    const char *const *headers;
    cr_expect_eq(endpoint_policy_headers(policy, &headers), POLICY_HEADERS_MAX + 1);
    endpoint_policy_unref(policy);
}

struct wrong {
    const char *json, *pointers;
};

static void expect_wrong(const struct wrong *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_expect_str_eq(wrong_pointers(cases[i].json), cases[i].pointers, "%s", cases[i].json);
}

Test(endpoint_policy, wrong_members_are_named_by_their_pointers)
{
    static const struct wrong cases[] = {
        {"[]", ""},
        {"7", ""},
        {"\"x\"", ""},
        {"{\"retries\":3}", "/retries"},
        {"{\"a~/b\":3}", "/a~0~1b"},
        {"{\"\\u00e4\":3}", ""},
        {"{\"horizon\":\"1h\",\"horizon\":\"2h\"}", "/horizon"},
        {"{\"horizon\":3600}", "/horizon"},
        {"{\"horizon\":\"500ms\"}", "/horizon"},
        {"{\"horizon\":\"366d\"}", "/horizon"},
        {"{\"horizon\":\"1 h\"}", "/horizon"},
        {"{\"retry_schedule\":[]}", "/retry_schedule"},
        {"{\"retry_schedule\":\"1s\"}", "/retry_schedule"},
        {"{\"retry_schedule\":[\"1s\",\"0s\",5,\"31d\",null]}",
            "/retry_schedule/1 /retry_schedule/2 /retry_schedule/3 /retry_schedule/4"},
        {"{\"connect_timeout\":\"2m\"}", "/connect_timeout"},
        {"{\"answer_timeout\":\"1ms\"}", "/answer_timeout"},
        {"{\"guarded_answer_timeout\":\"11m\"}", "/guarded_answer_timeout"},
        {"{\"in_flight_max\":0}", "/in_flight_max"},
        {"{\"in_flight_max\":1025}", "/in_flight_max"},
        {"{\"in_flight_max\":1.5}", "/in_flight_max"},
        {"{\"in_flight_max\":\"8\"}", "/in_flight_max"},
        {"{\"rate_max\":0}", "/rate_max"},
        {"{\"rate_max\":-1}", "/rate_max"},
        {"{\"rate_max\":1e9999}", "/rate_max"},
        {"{\"rate_max\":\"5\"}", "/rate_max"},
        {"{\"final_statuses\":[200,500,\"4xx\",408,410,\"410\",true]}",
            "/final_statuses/0 /final_statuses/1 /final_statuses/2 /final_statuses/3 "
            "/final_statuses/4 /final_statuses/5 /final_statuses/6"},
        {"{\"final_statuses\":404}", "/final_statuses"},
        {"{\"http\":2}", "/http"},
        {"{\"http\":\"3\"}", "/http"},
        {"{\"classes\":[]}", "/classes"},
        {"{\"classes\":{\"urgent\":{}}}", "/classes/urgent"},
        {"{\"classes\":{\"critical\":{\"rate_max\":5}}}", "/classes/critical/rate_max"},
        {"{\"classes\":{\"optional\":{\"retry_schedule\":[\"x\"]}}}",
            "/classes/optional/retry_schedule/0"},
        /* success */
        {"{\"success\":true}", "/success"},
        {"{\"success\":{\"statuses\":[]}}", "/success/statuses"},
        {"{\"success\":{\"statuses\":[199,\"600\"]}}", "/success/statuses/0 /success/statuses/1"},
        {"{\"success\":{\"contains\":\"ok\"}}", "/success/contains"},
        {"{\"success\":{\"contains\":[\"\",1]}}", "/success/contains/0 /success/contains/1"},
        {"{\"success\":{\"contains_not\":[1,1,1,1,1,1,1,1,1]}}", "/success/contains_not"},
        {"{\"success\":{\"pointer\":\"/a\"}}", "/success/equals"},
        {"{\"success\":{\"equals\":null}}", "/success/pointer"},
        {"{\"success\":{\"pointer\":\"a\",\"equals\":1}}", "/success/pointer"},
        {"{\"success\":{\"pointer\":\"/a\",\"equals\":[1]}}", "/success/equals"},
        /* status probe */
        {"{\"status_probe\":{}}", "/status_probe/url /status_probe/yes"},
        {"{\"status_probe\":7}", "/status_probe"},
        {"{\"status_probe\":{\"url\":\"https://c/{id}\",\"yes\":{},\"no\":{}}}",
            "/status_probe/no"},
        {"{\"status_probe\":{\"url\":\"https://c/\",\"yes\":{}}}", "/status_probe/url"},
        {"{\"status_probe\":{\"url\":\"https://{id}/\",\"yes\":{}}}", "/status_probe/url"},
        {"{\"status_probe\":{\"url\":\"https://c/{id}/{key}\",\"yes\":{}}}", "/status_probe/url"},
        {"{\"status_probe\":{\"url\":\"https://c/{id\",\"yes\":{}}}", "/status_probe/url"},
        {"{\"status_probe\":{\"url\":\"ftp://c/{id}\",\"yes\":{}}}", "/status_probe/url"},
        {"{\"status_probe\":{\"url\":\"https://c/ {id}\",\"yes\":{}}}", "/status_probe/url"},
        {"{\"status_probe\":{\"url\":\"https://c/{id}\",\"yes\":{\"status\":[200]}}}",
            "/status_probe/yes/status"},
    };
    expect_wrong(cases, ARRAY_LENGTH(cases));
}

Test(endpoint_policy, wrong_headers_credentials_and_certificates_are_named)
{
    static const struct wrong cases[] = {
        {"{\"headers\":[]}", "/headers"},
        {"{\"headers\":{\"Host\":\"x\",\"Authorization\":\"x\",\"Webhook-Id\":\"x\",\"content-"
         "length\":"
         "\"1\",\"Transfer-Encoding\":\"x\",\"connection\":\"x\",\"User-Agent\":\"x\"}}",
            "/headers/Host /headers/Authorization /headers/Webhook-Id /headers/content-length "
            "/headers/Transfer-Encoding /headers/connection /headers/User-Agent"},
        {"{\"headers\":{\"Idempotency-Key\":\"x\",\"Accept-Encoding\":\"gzip\",\"Penstock-X\":"
         "\"x\","
         "\"Expect\":\"x\",\"TE\":\"x\",\"Proxy-X\":\"x\",\"traceparent\":\"x\",\"Upgrade\":\"x\"}"
         "}",
            "/headers/Idempotency-Key /headers/Accept-Encoding /headers/Penstock-X /headers/Expect "
            "/headers/TE /headers/Proxy-X /headers/traceparent /headers/Upgrade"},
        {"{\"headers\":{\"X A\":\"x\",\"\":\"x\",\"X:\":\"x\"}}",
            "/headers/X A /headers/ /headers/X:"},
        {"{\"headers\":{\"X-A\":\"a\\r\\nX-B: 1\",\"X-B\":\"\",\"X-C\":\" "
         "a\",\"X-D\":7,\"X-E\":\"\\u00e4\"}}",
            "/headers/X-A /headers/X-B /headers/X-C /headers/X-D /headers/X-E"},
        {"{\"headers\":{\"X-A\":\"1\",\"x-a\":\"2\"}}", "/headers/x-a"},
        {"{\"headers\":{\"X-A\":\"***\",\"X-Api-Key\":\"***\"}}",
            "/headers/X-A /headers/X-Api-Key"},
        {"{\"authorization\":{}}", "/authorization"},
        {"{\"authorization\":\"x\"}", "/authorization"},
        {"{\"authorization\":{\"basic\":{},\"bearer\":\"x\"}}", "/authorization"},
        {"{\"authorization\":{\"digest\":{}}}", "/authorization"},
        {"{\"authorization\":{\"basic\":{}}}",
            "/authorization/basic/user /authorization/basic/password"},
        {"{\"authorization\":{\"basic\":{\"user\":\"a:b\",\"password\":\"\\n\"}}}",
            "/authorization/basic/user /authorization/basic/password"},
        {"{\"authorization\":{\"basic\":{\"user\":\"a\",\"password\":\"***\"}}}",
            "/authorization/basic/password"},
        {"{\"authorization\":{\"bearer\":\"a b\"}}", "/authorization/bearer"},
        {"{\"authorization\":{\"bearer\":\"***\"}}", "/authorization/bearer"},
        {"{\"authorization\":{\"bearer\":\"\"}}", "/authorization/bearer"},
        /* TLS */
        {"{\"tls\":\"x\"}", "/tls"},
        {"{\"tls\":{\"ca\":\"x\"}}", "/tls/ca"},
        {"{\"tls\":{\"certificate\":\"x\"}}", "/tls/certificate /tls/key"},
        {"{\"tls\":{\"key\":\"***\"}}", "/tls/key /tls/certificate"},
        {"{\"tls\":{\"cert\":\"x\"}}", "/tls/cert"},
    };
    expect_wrong(cases, ARRAY_LENGTH(cases));
}

Test(endpoint_policy, text_that_is_no_json_is_refused)
{
    static const char *const texts[] = {"", " ", "{", "{}}", "{\"a\":}",
        "{\"horizon\":\"\\u0000\"}", "{\"horizon\":\"\xff\"}", "\xef\xbb\xbf{}",
        "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":1}}}}}}}}}", "{\"horizon\":\"1h}",
        "{\"horizon\":\"1h\",}"};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        const struct endpoint_policy *policy = NULL;
        struct refusal refusal = {0};
        cr_expect_eq(endpoint_policy_parse(slice_from_string(texts[i]), NULL, &policy, &refusal),
            ERR_MALFORMED_JSON, "%s", texts[i]);
        cr_expect_gt(strlen(refusal.detail), 10);
    }
    AUTO_FREE char *large = malloc(POLICY_BYTES_MAX + 2);
    const struct endpoint_policy *policy = NULL;
    struct refusal refusal = {0};
    memset(large, ' ', POLICY_BYTES_MAX + 1);
    memcpy(large, "{}", 2);
    cr_expect_eq(
        endpoint_policy_parse(slice_of(large, POLICY_BYTES_MAX + 1), NULL, &policy, &refusal),
        ERR_INVALID);
    cr_expect_eq(endpoint_policy_parse(slice_of(large, POLICY_BYTES_MAX), NULL, &policy, &refusal),
        OK, "white space is not stored");
    cr_expect_str_eq(endpoint_policy_text(policy).data, "{}");
    endpoint_policy_unref(policy);
}

/* Certificates. */

struct pair {
    char certificate[4096], key[4096];
};

static void take_text(BIO *bio, char *text, size_t size)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    cr_assert(len > 0 && (size_t)len < size);
    memcpy(text, data, (size_t)len);
    text[len] = '\0';
    BIO_free(bio);
}

static struct pair make_pair(void)
{
    struct pair pair;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    cr_assert(X509_sign(certificate, key, EVP_sha256()) > 0);
    BIO *certificate_text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(certificate_text, certificate);
    PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL);
    take_text(certificate_text, pair.certificate, sizeof pair.certificate);
    take_text(key_text, pair.key, sizeof pair.key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return pair;
}

/* A policy with these members under /tls; NULL leaves one out. */
static const char *tls_json(const char *ca, const char *certificate, const char *key)
{
    static struct buffer json;
    const char *const names[] = {"ca", "certificate", "key"}, *const texts[] = {
                                                                  ca, certificate, key};
    const char *separator = "";
    buffer_clear(&json);
    buffer_add_string(&json, "{\"tls\":{");
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (!texts[i])
            continue;
        buffer_add_format(&json, "%s\"%s\":", separator, names[i]);
        buffer_add_json_string(&json, slice_from_string(texts[i]));
        separator = ",";
    }
    buffer_add_string(&json, "}}");
    return json.data;
}

Test(endpoint_policy, certificate_must_have_its_key)
{
    struct pair one = make_pair(), other = make_pair();
    const struct endpoint_policy *all =
        parse(tls_json(other.certificate, one.certificate, one.key));
    const struct endpoint_tls *tls = endpoint_policy_tls(all);
    cr_assert_not_null(tls);
    cr_expect_str_eq(tls->ca_pem, other.certificate);
    cr_expect_str_eq(tls->certificate_pem, one.certificate);
    cr_expect_str_eq(tls->key_pem, one.key);
    const struct endpoint_policy *ca = parse(tls_json(other.certificate, NULL, NULL));
    cr_expect_null(endpoint_policy_tls(ca)->certificate_pem);
    cr_expect_neq(endpoint_policy_tls(ca)->id, tls->id);
    const struct endpoint_policy *again =
        parse(tls_json(other.certificate, one.certificate, one.key));
    cr_expect_eq(endpoint_policy_tls(again)->id, tls->id, "the same texts");
    cr_expect_str_eq(wrong_pointers(tls_json(NULL, one.certificate, other.key)), "/tls/key");
    cr_expect_str_eq(wrong_pointers(tls_json(NULL, one.certificate, NULL)), "/tls/key");
    cr_expect_str_eq(wrong_pointers(tls_json(NULL, NULL, one.key)), "/tls/certificate");
    cr_expect_str_eq(wrong_pointers(tls_json(one.key, NULL, NULL)), "/tls/ca");
    one.certificate[strlen(one.certificate) / 2] = '!';
    cr_expect_str_eq(wrong_pointers(tls_json(one.certificate, NULL, NULL)), "/tls/ca");
    endpoint_policy_unref(all);
    endpoint_policy_unref(ca);
    endpoint_policy_unref(again);
}

/* Secrets. */

Test(endpoint_policy, secrets_are_masked_and_a_masked_policy_keeps_them)
{
    struct pair pair = make_pair();
    struct buffer json = BUFFER_EMPTY;
    buffer_add_string(&json,
        "{ \"authorization\": {\"basic\":{\"user\":\"u\",\"password\":\"p-4711\"}},"
        "\"headers\":{\"X-Partner\":\"7\",\"X-API-Key\":\"k-4711\"},"
        "\"rate_max\":0.50,\"horizon\":null,\"tls\":{\"certificate\":");
    buffer_add_json_string(&json, slice_from_string(pair.certificate));
    buffer_add_string(&json, ",\"key\":");
    buffer_add_json_string(&json, slice_from_string(pair.key));
    buffer_add_string(&json, "}}");
    const struct endpoint_policy *policy = parse(json.data), *again = NULL, *changed = NULL;
    const char *masked = endpoint_policy_masked(policy).data;
    cr_expect_null(strstr(masked, "4711"), "%s", masked);
    cr_expect_null(strstr(masked, "PRIVATE KEY"), "%s", masked);
    cr_expect(strstr(masked, "\"password\":\"***\"") && strstr(masked, "\"X-API-Key\":\"***\"") &&
                  strstr(masked, "\"key\":\"***\"") && strstr(masked, "\"X-Partner\":\"7\"") &&
                  strstr(masked, "\"rate_max\":0.50") && strstr(masked, "BEGIN CERTIFICATE"),
        "%s", masked);
    struct refusal refusal = {0};
    cr_assert_eq(
        endpoint_policy_parse(endpoint_policy_masked(policy), policy, &again, &refusal), OK);
    cr_expect(slice_equal(endpoint_policy_text(again), endpoint_policy_text(policy)), "%s",
        endpoint_policy_text(again).data);
    cr_expect_eq(endpoint_policy_tls(again)->id, endpoint_policy_tls(policy)->id);
    cr_assert_eq(
        endpoint_policy_parse(
            SLICE_LITERAL("{\"headers\":{\"x-api-key\":\"***\"},\"authorization\":{\"basic\":"
                          "{\"user\":\"v\",\"password\":\"***\"}}}"),
            policy, &changed, &refusal),
        OK);
    endpoint_policy_unref(policy); /* the new one has copies */
    const char *const *headers;
    cr_assert_eq(endpoint_policy_headers(changed, &headers), 2);
    cr_expect_str_eq(headers[0], "x-api-key: k-4711");
    cr_expect_str_eq(headers[1], "Authorization: Basic djpwLTQ3MTE=");
    cr_expect_eq(endpoint_policy_parse(SLICE_LITERAL("{\"authorization\":{\"bearer\":\"***\"}}"),
                     again, &policy, &refusal),
        ERR_INVALID, "there is no bearer token to keep");
    cr_expect_str_eq(refusal.problems.list[0].pointer, "/authorization/bearer");
    endpoint_policy_unref(again);
    endpoint_policy_unref(changed);
    buffer_done(&json);
}

/* The status probe. */

Test(endpoint_policy, probe_asks_by_id_and_judges_the_answer)
{
    static const struct {
        int status;
        const char *body;
        enum probe_answer expected;
    } cases[] = {
        {200, "{\"state\":\"processed\"}", PROBE_YES},
        {200, "{\"state\":\"unknown\"}", PROBE_UNKNOWN},
        {404, "", PROBE_NO},
        {404, "{\"state\":\"processed\"}", PROBE_NO},
        {500, "", PROBE_UNKNOWN},
        {200, "<html>", PROBE_UNKNOWN},
        {302, "", PROBE_UNKNOWN},
    };
    const struct endpoint_policy *policy = parse(
        "{\"status_probe\":{\"url\":\"https://c.example/s/{id}?again={id}\","
        "\"yes\":{\"pointer\":\"/state\",\"equals\":\"processed\"},\"no\":{\"statuses\":[404]}}}");
    const struct status_probe *probe = endpoint_policy_probe(policy);
    char url[STATUS_PROBE_URL_BYTES], why[SUCCESS_WHY_BYTES];
    cr_assert(status_probe_url(probe, SLICE_LITERAL("evt_1"), url));
    cr_expect_str_eq(url, "https://c.example/s/evt_1?again=evt_1");
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_expect_eq(status_probe_judge(
                         probe, cases[i].status, slice_from_string(cases[i].body), false, why),
            cases[i].expected, "%d %s: %s", cases[i].status, cases[i].body, why);
        cr_expect_gt(strlen(why), 0);
    }
    endpoint_policy_unref(policy);
    policy = parse(
        "{\"status_probe\":{\"url\":\"https://c.example/{id}\",\"yes\":{\"statuses\":[200]}}}");
    cr_expect_eq(
        status_probe_judge(endpoint_policy_probe(policy), 404, slice_of(NULL, 0), false, why),
        PROBE_UNKNOWN, "without a rule no answer means no");
    endpoint_policy_unref(policy);
    policy =
        parse("{\"status_probe\":{\"url\":\"https://c.example/{id}\",\"yes\":{\"statuses\":[200]},"
              "\"no\":{\"contains\":[\"x\"]}}}");
    cr_expect_eq(
        status_probe_judge(endpoint_policy_probe(policy), 200, SLICE_LITERAL("x"), false, why),
        PROBE_UNKNOWN, "an answer that meets both says nothing");
    endpoint_policy_unref(policy);
}

static void *take_and_give(void *context)
{
    for (int i = 0; i < 20000; i++)
        endpoint_policy_unref(endpoint_policy_ref(context));
    endpoint_policy_unref(context);
    return NULL;
}

Test(endpoint_policy, references_of_several_threads_are_counted)
{
    const struct endpoint_policy *policy = parse("{\"headers\":{\"X-A\":\"1\"}}");
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        pthread_create(&threads[i], NULL, take_and_give, (void *)endpoint_policy_ref(policy));
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        pthread_join(threads[i], NULL);
    cr_expect_str_eq(endpoint_policy_text(policy).data, "{\"headers\":{\"X-A\":\"1\"}}");
    endpoint_policy_unref(policy);
}
