/* SPDX-License-Identifier: Apache-2.0 */
#include "model/object_id.h"

#include <stdio.h>

#define ENDPOINT_PREFIX "ep_"
#define SECRET_PREFIX "sec_"
#define CREDENTIAL_PREFIX "key_"

#define DIGITS 16

static void format(const char *prefix, uint64_t id, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%s%016llx", prefix, (unsigned long long)id);
}

static uint64_t number_of(const unsigned char bytes[8])
{
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++)
        number = number << 8 | bytes[i];
    return number;
}

static bool parse(const char *prefix, struct slice text, uint64_t *ret_id)
{
    unsigned char bytes[8];
    size_t len = strlen(prefix);
    if (text.len != len + DIGITS || !slice_starts_with(text, prefix))
        return false;
    for (size_t i = len; i < text.len; i++)
        if (text.data[i] >= 'A' && text.data[i] <= 'F')
            return false; /* one id, one text */
    if (!hex_decode(slice_of(text.data + len, DIGITS), bytes))
        return false;
    *ret_id = number_of(bytes);
    return true;
}

/* Random ids are SQLite's integers, and 0 is none. */
static bool parse_random(const char *prefix, struct slice text, uint64_t *ret_id)
{
    uint64_t id;
    if (!parse(prefix, text, &id) || id == 0 || id > INT64_MAX)
        return false;
    *ret_id = id;
    return true;
}

void endpoint_id_format(uint64_t id, char ret_text[ENDPOINT_ID_TEXT_BYTES])
{
    format(ENDPOINT_PREFIX, id, ret_text, ENDPOINT_ID_TEXT_BYTES);
}

bool endpoint_id_parse(struct slice text, uint64_t *ret_id)
{
    return parse_random(ENDPOINT_PREFIX, text, ret_id);
}

void partner_secret_id_format(uint64_t id, char ret_text[PARTNER_SECRET_ID_TEXT_BYTES])
{
    format(SECRET_PREFIX, id, ret_text, PARTNER_SECRET_ID_TEXT_BYTES);
}

bool partner_secret_id_parse(struct slice text, uint64_t *ret_id)
{
    return parse_random(SECRET_PREFIX, text, ret_id);
}

uint64_t credential_id(const unsigned char credential_sha256[SHA256_BYTES])
{
    return number_of(credential_sha256);
}

void credential_id_format(uint64_t id, char ret_text[CREDENTIAL_ID_TEXT_BYTES])
{
    format(CREDENTIAL_PREFIX, id, ret_text, CREDENTIAL_ID_TEXT_BYTES);
}

bool credential_id_parse(struct slice text, uint64_t *ret_id)
{
    return parse(CREDENTIAL_PREFIX, text, ret_id);
}

void endpoint_secret_id_format(uint32_t number, char ret_text[ENDPOINT_SECRET_ID_TEXT_BYTES])
{
    snprintf(ret_text, ENDPOINT_SECRET_ID_TEXT_BYTES, SECRET_PREFIX "%u", number);
}

bool endpoint_secret_id_parse(struct slice text, uint32_t *ret_number)
{
    size_t len = sizeof SECRET_PREFIX - 1;
    if (!slice_starts_with(text, SECRET_PREFIX) || text.len == len || text.len > len + 9)
        return false;
    if (text.data[len] == '0' && text.len > len + 1)
        return false;
    uint32_t number = 0;
    for (size_t i = len; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}
