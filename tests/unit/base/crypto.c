/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect_hex(const unsigned char *bytes, size_t len, const char *hex)
{
    char text[2 * 64 + 1];
    hex_encode(slice_of(bytes, len), text);
    cr_expect_str_eq(text, hex);
}

Test(sha256, matches_the_vectors_of_fips_180)
{
    static const struct {
        struct slice input;
        const char *digest;
    } cases[] = {
        {SLICE_LITERAL(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {SLICE_LITERAL("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {SLICE_LITERAL("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        unsigned char digest[SHA256_BYTES];
        crypto_sha256(cases[i].input, digest);
        expect_hex(digest, sizeof digest, cases[i].digest);
    }
}

struct hmac_case {
    size_t key_len;
    int key_byte; /* -1: 01 02 03 ... */
    const char *key_text;
    size_t data_len;
    int data_byte;
    const char *data_text;
    const char *mac;
};

/* RFC 4231 section 4. Case 5 is about truncation, which Penstock does not use. */
static const struct hmac_case hmac_cases[] = {
    {20, 0x0b, NULL, 8, 0, "Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {4, 0, "Jefe", 28, 0, "what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {20, 0xaa, NULL, 50, 0xdd, NULL,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {25, -1, NULL, 50, 0xcd, NULL,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {131, 0xaa, NULL, 54, 0, "Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {131, 0xaa, NULL, 152, 0,
        "This is a test using a larger than block-size key and a larger than block-size data. The "
        "key needs to be "
        "hashed "
        "before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

static struct slice material(char *space, size_t len, int byte, const char *text)
{
    for (size_t i = 0; i < len; i++)
        space[i] = text ? text[i] : byte < 0 ? (char)(i + 1) : (char)byte;
    return slice_of(space, len);
}

Test(hmac, matches_the_vectors_of_rfc_4231_with_one_reused_context)
{
    for (size_t i = 0; i < ARRAY_LENGTH(hmac_cases); i++) {
        const struct hmac_case *c = &hmac_cases[i];
        char key[160], data[160];
        struct hmac *hmac = NULL;
        cr_assert_eq(hmac_new(material(key, c->key_len, c->key_byte, c->key_text), &hmac), OK);
        struct slice input = material(data, c->data_len, c->data_byte, c->data_text);
        for (size_t cut = 0; cut <= input.len; cut += 7) {
            unsigned char mac[SHA256_BYTES];
            hmac_begin(hmac);
            hmac_add(hmac, slice_of(input.data, cut));
            hmac_add(hmac, slice_of(input.data + cut, input.len - cut));
            hmac_end(hmac, mac);
            expect_hex(mac, sizeof mac, c->mac);
        }
        hmac_free(hmac);
    }
}

Test(hmac, begin_discards_an_unfinished_input)
{
    struct hmac *hmac = NULL;
    cr_assert_eq(hmac_new(SLICE_LITERAL("Jefe"), &hmac), OK);
    hmac_begin(hmac);
    hmac_add(hmac, SLICE_LITERAL("given up"));
    unsigned char mac[SHA256_BYTES];
    hmac_begin(hmac);
    hmac_add(hmac, SLICE_LITERAL("what do ya want for nothing?"));
    hmac_end(hmac, mac);
    expect_hex(mac, sizeof mac, hmac_cases[1].mac);
    hmac_free(hmac);
    hmac_free(NULL);
}

Test(crypto, equal_compares_exactly_the_given_bytes)
{
    cr_assert(crypto_equal("abcX", "abcY", 3));
    cr_assert_not(crypto_equal("abc", "abd", 3));
    cr_assert_not(crypto_equal("xbc", "abc", 3));
    cr_assert(crypto_equal("a", "b", 0));
}

Test(crypto, random_bytes_fill_the_whole_space)
{
    /* 300 bytes are more than one getrandom call guarantees. Each position must change in one of 64
     * draws. */
    unsigned char first[300], other[300];
    bool changed[300] = {false};
    crypto_random(first, sizeof first);
    for (int draw = 0; draw < 64; draw++) {
        crypto_random(other, sizeof other);
        for (size_t i = 0; i < sizeof other; i++)
            changed[i] |= other[i] != first[i];
    }
    for (size_t i = 0; i < sizeof changed; i++)
        cr_assert(changed[i], "byte %zu never changed", i);
}

/* RFC 4648 section 10. */
static const struct {
    const char *plain, *standard, *url;
} base64_cases[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+", "-__-"},
    {"\xff", "/w==", "_w"},
};

Test(base64, encodes_both_alphabets)
{
    for (size_t i = 0; i < ARRAY_LENGTH(base64_cases); i++) {
        struct slice plain = slice_from_string(base64_cases[i].plain);
        char text[BASE64_BYTES(8)];
        cr_expect_eq(base64_encode(plain, false, text), strlen(base64_cases[i].standard));
        cr_expect_str_eq(text, base64_cases[i].standard);
        cr_expect_eq(base64_encode(plain, true, text), strlen(base64_cases[i].url));
        cr_expect_str_eq(text, base64_cases[i].url);
    }
}

Test(base64, decodes_what_it_encodes)
{
    unsigned char plain[100], decoded[102];
    char text[BASE64_BYTES(100)];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (unsigned char)(i * 151 + 7);
    for (size_t len = 0; len <= sizeof plain; len++) {
        size_t text_len = base64_encode(slice_of(plain, len), false, text);
        cr_assert_eq(base64_decode(slice_of(text, text_len), decoded), (int)len);
        cr_assert_eq(memcmp(plain, decoded, len), 0);
    }
}

Test(base64, rejects_input_that_is_not_strict)
{
    static const char *const bad[] = {"Z", "Zg",
        "Zg=", "Zg===", "====", "Z===", "=Zg=", "Zg==Zg==", "Zm9v\n", "Zm 9", "Zm9-", "Zm_v",
        "Zm9v====", "\xc3\xa4==", "Zm=v"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        unsigned char bytes[32];
        cr_expect_eq(base64_decode(slice_from_string(bad[i]), bytes), -1, "%s", bad[i]);
    }
}

Test(hex, decodes_what_it_encodes)
{
    char text[2 * 5 + 1];
    hex_encode(SLICE_LITERAL("\x00\x01\x9a\xbc\xff"), text);
    cr_assert_str_eq(text, "00019abcff");
    unsigned char bytes[5];
    cr_assert(hex_decode(SLICE_LITERAL("00019AbCff"), bytes));
    cr_assert_eq(memcmp(bytes, "\x00\x01\x9a\xbc\xff", 5), 0);
    cr_assert(hex_decode(SLICE_LITERAL(""), bytes));
}

Test(hex, rejects_odd_lengths_and_other_characters)
{
    static const char *const bad[] = {"0", "012", "0g", "g0", "0x", " 0", "0 ", "-1", "\xc3\xa4"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        unsigned char bytes[8];
        cr_expect_not(hex_decode(slice_from_string(bad[i]), bytes), "%s", bad[i]);
    }
}
