/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tls_identity.h"

#include <stdio.h>
#include <strings.h>

static const char *const prefixes[CERTIFICATE_NAME_KINDS] = {[CERTIFICATE_SHA256] = "sha256:",
    [CERTIFICATE_DNS] = "dns:",
    [CERTIFICATE_URI] = "uri:",
    [CERTIFICATE_EMAIL] = "email:"};

#define FINGERPRINT_DIGITS (2 * SHA256_BYTES)

/* Digits of a fingerprint, with or without a colon after each two. */
static bool take_fingerprint(struct slice text, struct certificate_name *ret_name)
{
    unsigned char bytes[SHA256_BYTES];
    char digits[FINGERPRINT_DIGITS];
    size_t count = 0;
    bool has_colons = text.len == FINGERPRINT_DIGITS + SHA256_BYTES - 1;
    if (!has_colons && text.len != FINGERPRINT_DIGITS)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!has_colons || i % 3 != 2)
            digits[count++] = text.data[i];
        else if (text.data[i] != ':')
            return false;
    }
    if (!hex_decode(slice_of(digits, count), bytes))
        return false;
    hex_encode(slice_of(bytes, sizeof bytes), ret_name->text);
    return true;
}

static bool take_name(struct slice text, bool any_case, struct certificate_name *ret_name)
{
    if (text.len == 0 || text.len > CERTIFICATE_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c <= 0x20 || c > 0x7e)
            return false;
        ret_name->text[i] = (char)(any_case && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    ret_name->text[text.len] = '\0';
    return true;
}

static bool take(
    enum certificate_name_kind kind, struct slice text, struct certificate_name *ret_name)
{
    struct certificate_name name = {.kind = kind};
    bool good = kind == CERTIFICATE_SHA256 ? take_fingerprint(text, &name)
                                           : take_name(text, kind == CERTIFICATE_DNS, &name);
    if (good)
        *ret_name = name;
    return good;
}

bool certificate_name_parse(struct slice text, struct certificate_name *ret_name)
{
    for (unsigned kind = 0; kind < CERTIFICATE_NAME_KINDS; kind++) {
        size_t len = strlen(prefixes[kind]);
        if (slice_starts_with(text, prefixes[kind]))
            return take((enum certificate_name_kind)kind, slice_of(text.data + len, text.len - len),
                ret_name);
    }
    return false;
}

void certificate_name_format(
    const struct certificate_name *name, char ret_text[CERTIFICATE_NAME_TEXT_BYTES])
{
    snprintf(ret_text, CERTIFICATE_NAME_TEXT_BYTES, "%s%s", prefixes[name->kind], name->text);
}

/* The kind of an identity's name is written as X.509 tools do: "DNS:", "URI:", "email:". */
static bool is_name(const char *text, const struct certificate_name *name)
{
    size_t len = strlen(prefixes[name->kind]);
    if (strncasecmp(text, prefixes[name->kind], len) != 0)
        return false;
    return name->kind == CERTIFICATE_DNS ? strcasecmp(text + len, name->text) == 0
                                         : strcmp(text + len, name->text) == 0;
}

bool tls_identity_has(const struct tls_identity *identity, const struct certificate_name *name)
{
    if (name->kind == CERTIFICATE_SHA256) {
        unsigned char bytes[SHA256_BYTES];
        return hex_decode(slice_from_string(name->text), bytes) &&
               memcmp(bytes, identity->sha256, sizeof bytes) == 0;
    }
    for (unsigned i = 0; i < identity->names_count; i++)
        if (is_name(identity->names[i], name))
            return true;
    return false;
}
