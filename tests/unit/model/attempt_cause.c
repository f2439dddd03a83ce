/* SPDX-License-Identifier: Apache-2.0 */
#include "model/attempt_cause.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "model/verdict.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct {
    struct attempt_end end;
    struct attempt_evidence evidence;
    const char *rule, *code, *what;
} cases[] = {
    {{200, OK, true}, {0}, "", "none", "it was delivered"},
    {{204, OK, true}, {0}, "", "none", "it was delivered"},
    {{200, OK, true}, {0}, "the value at /success is false, not true", "success-rule",
        "the answer is no success: the value at /success is false, not true"},
    {{200, ERR_ANSWER_LOST, true}, {0}, "the answer was cut", "success-rule",
        "the answer is no success: the answer was cut"},
    {{200, ERR_ANSWER_LOST, true}, {0}, "", "answer-lost",
        "the connection was closed before the answer"},
    {{301, OK, true}, {.location = "https://b.test/in"}, "", "http-redirect",
        "redirected to https://b.test/in"},
    {{302, OK, true}, {0}, "", "http-redirect", "redirected"},
    {{401, OK, true}, {0}, "", "http-unauthorized", "access was denied: 401"},
    {{403, OK, true}, {0}, "", "http-unauthorized", "access was denied: 403"},
    {{404, OK, true}, {0}, "", "http-not-found", "the path was not found: 404"},
    {{404, OK, true}, {0}, "the status is 404", "http-not-found", "the path was not found: 404"},
    {{408, OK, true}, {0}, "", "http-unavailable", "the client is not available: 408"},
    {{410, OK, true}, {0}, "", "http-gone", "the client refuses further events: 410"},
    {{422, OK, true}, {0}, "", "http-rejected", "the client rejected the event: 422"},
    {{429, OK, true}, {0}, "", "http-too-many", "the client limits the rate: 429"},
    {{500, OK, true}, {0}, "", "http-failed", "the program of the client failed: 500"},
    {{503, OK, true}, {0}, "", "http-unavailable", "the client is not available: 503"},
    {{199, OK, true}, {0}, "", "http-unexpected", "an answer with an unexpected status: 199"},
    {{600, OK, true}, {0}, "", "http-unexpected", "an answer with an unexpected status: 600"},
    {{0, ERR_URL, false}, {0}, "", "url", "the URL cannot be used"},
    {{0, ERR_NAME_LOOKUP, false}, {0}, "", "dns-no-answer",
        "DNS: the name servers of the host do not answer"},
    {{0, ERR_NAME_LOOKUP, false}, {.cause = CAUSE_DNS_NO_NAME}, "", "dns-no-such-name",
        "DNS: the host name does not exist"},
    {{0, ERR_CONNECT, false}, {.cause = CAUSE_CONNECT_REFUSED, .peer = "192.0.2.7:443"}, "",
        "connect-refused", "connection refused by 192.0.2.7:443"},
    {{0, ERR_CONNECT, false}, {0}, "", "connect-failed", "no connection"},
    {{0, ERR_CONNECT_TIMEOUT, false}, {.peer = "192.0.2.7:443"}, "", "connect-timeout",
        "no connection in time to 192.0.2.7:443"},
    {{0, ERR_TLS, false},
        {.cause = CAUSE_TLS_EXPIRED,
            .tls_problem = "certificate has expired (CN=sink.test, 2026-11-03)"},
        "", "tls-expired", "TLS: certificate has expired (CN=sink.test, 2026-11-03)"},
    {{0, ERR_TLS, false}, {0}, "", "tls-failed", "TLS: the handshake failed"},
    {{0, ERR_ANSWER_TIMEOUT, true}, {0}, "", "answer-timeout", "no answer within 30.0 s"},
    {{0, ERR_ANSWER_MALFORMED, true}, {0}, "", "answer-not-http", "the answer is not valid HTTP"},
    {{0, ERR_INTERRUPTED, true}, {.cause = CAUSE_INTERRUPTED}, "", "interrupted",
        "the gateway was killed or crashed during the attempt"},
    {{0, ERR_DISK, false}, {0}, "", "other", "it failed"},
};

Test(attempt_cause, each_end_has_a_code_and_words)
{
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct attempt_said said = {.end = &cases[i].end,
            .evidence = &cases[i].evidence,
            .rule = cases[i].rule,
            .duration_us = 30 * US_PER_SECOND};
        char what[CAUSE_TEXT_BYTES];
        attempt_cause_describe(&said, what);
        cr_expect_str_eq(attempt_cause_code(attempt_cause_of(&said)), cases[i].code, "%zu", i);
        cr_expect_str_eq(what, cases[i].what, "%zu", i);
    }
}

/* A journal keeps the code. */
Test(attempt_cause, codes_are_unique_short_and_read_back)
{
    for (unsigned cause = 0; cause < ATTEMPT_CAUSES; cause++) {
        const char *code = attempt_cause_code((enum attempt_cause)cause);
        cr_expect_eq(attempt_cause_from_code(code), cause, "%s", code);
        cr_expect_lt(strlen(code), CAUSE_CODE_BYTES, "%s", code);
        cr_expect_eq(strspn(code, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(code));
    }
    cr_expect_eq(attempt_cause_from_code("of-a-newer-version"), CAUSE_OTHER);
}

Test(attempt_cause, each_cause_says_what_to_do)
{
    for (unsigned cause = 0; cause < ATTEMPT_CAUSES; cause++) {
        const char *remedy = attempt_cause_remedy((enum attempt_cause)cause);
        cr_expect(strlen(remedy) > 0 && isupper((unsigned char)*remedy));
        cr_expect_neq(remedy[strlen(remedy) - 1], '.');
    }
}

/* The longest evidence fits. */
Test(attempt_cause, words_are_cut_to_their_room)
{
    static const struct attempt_end end = {.error = ERR_TLS};
    struct attempt_evidence evidence = {.cause = CAUSE_TLS_FAILED};
    memset(evidence.tls_problem, 'x', sizeof evidence.tls_problem - 1);
    char what[CAUSE_TEXT_BYTES];
    attempt_cause_describe(
        &(struct attempt_said){.end = &end, .evidence = &evidence, .rule = ""}, what);
    cr_expect_eq(strlen(what), strlen("TLS: ") + sizeof evidence.tls_problem - 1);
}

/* Line ends and the indents behind them are one space each. */
static void read_document(char *ret_text, size_t size)
{
    FILE *file = fopen(PENSTOCK_SOURCE_DIR "/etc/doc/causes.md", "r");
    size_t len = 0;
    cr_assert(file);
    for (int c = fgetc(file); c != EOF && len < size - 1; c = fgetc(file)) {
        bool is_space = c == ' ' || c == '\n';
        if (!is_space || len == 0 || ret_text[len - 1] != ' ')
            ret_text[len++] = (char)(is_space ? ' ' : c);
    }
    ret_text[len] = '\0';
    fclose(file);
}

Test(attempt_cause, document_has_each_code_and_what_to_do)
{
    static char document[64 * 1024];
    read_document(document, sizeof document);
    for (unsigned cause = CAUSE_NONE + 1; cause < ATTEMPT_CAUSES; cause++) {
        const char *code = attempt_cause_code((enum attempt_cause)cause);
        char entry[64];
        snprintf(entry, sizeof entry, "- `%s`: ", code);
        const char *at = strstr(document, entry);
        cr_assert(at, "%s is not in etc/doc/causes.md", code);
        const char *end = strstr(at + 1, "- `");
        const char *remedy = strstr(at, attempt_cause_remedy((enum attempt_cause)cause));
        cr_expect(remedy && (!end || remedy < end), "%s", code);
    }
}
