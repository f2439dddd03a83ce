/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the members of a policy that say how a request is sent: headers, credentials, TLS, the
 * version of HTTP. */
#include "model/endpoint_policy_internal.h"

#include "base/cleanup.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "base/pem.h"

#include <stddef.h>
#include <stdio.h>
#include <strings.h>

#define HEADER_NAME_BYTES_MAX 64
#define CREDENTIAL_BYTES_MAX 4096

void policy_read_http(struct policy_reading *reading, yajl_val value, void *into)
{
    const char *text = YAJL_IS_STRING(value) ? value->u.string : "";
    if (strcmp(text, "1.1") == 0)
        *(enum endpoint_http *)into = ENDPOINT_HTTP_1;
    else if (strcmp(text, "2") == 0)
        *(enum endpoint_http *)into = ENDPOINT_HTTP_2;
    else
        policy_complain(reading, "must be \"1.1\" or \"2\"");
}

/* Headers and credentials. */

static bool is_token(const char *name)
{
    return *name && name[strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

/* Headers that the gateway sends itself, that belong to the connection, or that would change what
 * the answer means: a compressed one cannot be judged, and one idempotency key for all events makes
 * a client drop all but the first. */
static bool is_refused_header(const char *name)
{
    static const char *const beginnings[] = {
        "webhook-", "content-", "penstock-", "proxy-", "transfer-", "accept-encoding", "http2-"};
    static const char *const names[] = {"host", "connection", "keep-alive", "te", "trailer",
        "upgrade", "expect", "user-agent", "traceparent", "idempotency-key"};
    for (size_t i = 0; i < ARRAY_LENGTH(beginnings); i++)
        if (strncasecmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static const char *problem_of_header(const char *name, yajl_val value)
{
    if (!is_token(name) || strlen(name) > HEADER_NAME_BYTES_MAX)
        return "must be named by 1 to 64 letters, digits and hyphens";
    if (strcasecmp(name, "authorization") == 0)
        return "must not be set here: use the member authorization of the policy";
    if (is_refused_header(name))
        return "must not be set: the gateway or the connection sets this header";
    const char *text = YAJL_GET_STRING(value);
    size_t len = text ? strlen(text) : 0;
    if (len == 0 || len > POLICY_HEADER_VALUE_BYTES_MAX || text[0] == ' ' || text[len - 1] == ' ')
        return "must be a text of 1 to 1024 printable ASCII characters, without outer spaces";
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return "must be a text of 1 to 1024 printable ASCII characters, without outer spaces";
    return strcmp(text, POLICY_MASK) == 0 ? "must be the value itself: there is none to keep"
                                          : NULL;
}

/* Takes the text over. */
static void add_header(
    struct policy_reading *reading, const char *name, const char *before_value, const char *value)
{
    struct endpoint_policy *policy = reading->policy;
    size_t size = strlen(name) + 2 + strlen(before_value) + strlen(value) + 1;
    char *text = memory_new_raw(size);
    snprintf(text, size, "%s: %s%s", name, before_value, value);
    policy->headers[policy->headers_count++] = text;
}

void policy_read_headers(struct policy_reading *reading, yajl_val value, void *into)
{
    _Static_assert(
        POLICY_HEADERS_MAX == 16 && POLICY_HEADER_VALUE_BYTES_MAX == 1024, "as the texts say");
    if (!YAJL_IS_OBJECT(value) || value->u.object.len > POLICY_HEADERS_MAX) {
        policy_complain(reading, "must be an object of at most 16 headers");
        return;
    }
    for (size_t i = 0; i < value->u.object.len; i++) {
        const char *name = value->u.object.keys[i];
        const char *problem = problem_of_header(name, value->u.object.values[i]);
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(name, value->u.object.keys[k]) == 0)
                problem = "occurs twice: remove one of them";
        size_t before = policy_enter(reading, name);
        if (problem)
            policy_complain(reading, problem);
        else
            add_header(reading, name, "", value->u.object.values[i]->u.string);
        policy_leave(reading, before);
    }
}

static const char *problem_of_credential(const char *text, size_t max, bool spaces)
{
    size_t len = text ? strlen(text) : 0;
    if (len == 0 || len > max)
        return max == CREDENTIAL_BYTES_MAX ? "must be a text of 1 to 4096 bytes"
                                           : "must be a text of 1 to 256 bytes";
    if (strcmp(text, POLICY_MASK) == 0)
        return "must be the secret itself: there is none to keep";
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f ||
            (!spaces && (text[i] == ' ' || (unsigned char)text[i] > 0x7e)))
            return spaces ? "must not have control characters"
                          : "must have printable ASCII characters only, and no spaces";
    return NULL;
}

static void read_user(struct policy_reading *reading, yajl_val value, void *into)
{
    const char *text = YAJL_GET_STRING(value);
    const char *problem = problem_of_credential(text, 256, true);
    if (!problem && strchr(text, ':'))
        problem = "must not have a colon, because a colon ends it (RFC 7617)";
    if (problem)
        policy_complain(reading, problem);
    else
        *(const char **)into = text;
}

static void read_password(struct policy_reading *reading, yajl_val value, void *into)
{
    const char *text = YAJL_GET_STRING(value);
    const char *problem = problem_of_credential(text, CREDENTIAL_BYTES_MAX, true);
    if (problem)
        policy_complain(reading, problem);
    else
        *(const char **)into = text;
}

struct basic {
    const char *user, *password;
};

static void read_basic(struct policy_reading *reading, yajl_val value, void *into)
{
    static const struct policy_member members[] = {
        {"user", read_user, offsetof(struct basic, user), false},
        {"password", read_password, offsetof(struct basic, password), false}};
    struct basic basic = {0};
    policy_read_members(reading, value, members, ARRAY_LENGTH(members), &basic);
    if (YAJL_IS_OBJECT(value) && !policy_has(value, "user"))
        policy_complain_of(reading, "user", "is missing: add the name of the user");
    if (YAJL_IS_OBJECT(value) && !policy_has(value, "password"))
        policy_complain_of(reading, "password", "is missing: add the password");
    if (!basic.user || !basic.password)
        return;
    char text[256 + 1 + CREDENTIAL_BYTES_MAX + 1], encoded[BASE64_BYTES(sizeof text)];
    int len = snprintf(text, sizeof text, "%s:%s", basic.user, basic.password);
    base64_encode(slice_of(text, (size_t)len), false, encoded);
    add_header(reading, "Authorization", "Basic ", encoded);
}

static void read_bearer(struct policy_reading *reading, yajl_val value, void *into)
{
    const char *text = YAJL_GET_STRING(value);
    const char *problem = problem_of_credential(text, CREDENTIAL_BYTES_MAX, false);
    if (problem)
        policy_complain(reading, problem);
    else
        add_header(reading, "Authorization", "Bearer ", text);
}

void policy_read_authorization(struct policy_reading *reading, yajl_val value, void *into)
{
    static const struct policy_member members[] = {
        {"basic", read_basic, 0, false}, {"bearer", read_bearer, 0, false}};
    if (policy_has(value, "basic") == policy_has(value, "bearer"))
        policy_complain(reading, "must be an object with either basic or bearer");
    else
        policy_read_members(reading, value, members, ARRAY_LENGTH(members), into);
}

/* TLS. */

static void read_certificates(struct policy_reading *reading, yajl_val value, void *into)
{
    char problem[PEM_PROBLEM_BYTES] = "must be a text of certificates in PEM form";
    const char *text = YAJL_GET_STRING(value);
    if (text && pem_text_holds_certificates(slice_from_string(text), problem))
        *(const char **)into = text;
    else
        policy_complain(reading, problem);
}

static void read_key(struct policy_reading *reading, yajl_val value, void *into)
{
    char problem[PEM_PROBLEM_BYTES] = "must be a text with a private key in PEM form";
    const char *text = YAJL_GET_STRING(value);
    if (text && strcmp(text, POLICY_MASK) == 0)
        policy_complain(reading, "must be the key itself: there is none to keep");
    else if (text && pem_text_holds_key(slice_from_string(text), problem))
        *(const char **)into = text;
    else
        policy_complain(reading, problem);
}

/* Connections with the same texts may be shared, also after a change of something else. */
static uint64_t id_of_tls(const struct endpoint_tls *tls)
{
    const char *const texts[] = {tls->ca_pem, tls->certificate_pem, tls->key_pem};
    unsigned char all[ARRAY_LENGTH(texts)][SHA256_BYTES] = {{0}}, digest[SHA256_BYTES];
    uint64_t id;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        if (texts[i])
            crypto_sha256(slice_from_string(texts[i]), all[i]);
    crypto_sha256(slice_of(all, sizeof all), digest);
    memcpy(&id, digest, sizeof id);
    return id ? id : 1;
}

void policy_read_tls(struct policy_reading *reading, yajl_val value, void *into)
{
    static const struct policy_member members[] = {
        {"ca", read_certificates, offsetof(struct endpoint_tls, ca_pem), false},
        {"certificate", read_certificates, offsetof(struct endpoint_tls, certificate_pem), false},
        {"key", read_key, offsetof(struct endpoint_tls, key_pem), false}};
    struct endpoint_tls *tls = into;
    policy_read_members(reading, value, members, ARRAY_LENGTH(members), tls);
    bool has_certificate = policy_has(value, "certificate"), has_key = policy_has(value, "key");
    if (has_certificate && !has_key)
        policy_complain_of(reading, "key", "is missing: add the key of the certificate");
    if (has_key && !has_certificate)
        policy_complain_of(reading, "certificate", "is missing: add the certificate of the key");
    if (tls->certificate_pem && tls->key_pem &&
        !pem_text_key_fits(
            slice_from_string(tls->certificate_pem), slice_from_string(tls->key_pem)))
        policy_complain_of(
            reading, "key", "is not the key of the certificate: add the one that belongs to it");
    reading->policy->has_tls = tls->ca_pem || tls->certificate_pem;
    tls->id = id_of_tls(tls);
}
