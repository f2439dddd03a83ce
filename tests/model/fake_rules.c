/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_rules.h"

#include "base/slice.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#include <stdio.h>

#define RULES_MAX 2048 /* of a seed */
#define HAS_RULE_PER_MILLE 450
#define HAS_PROBE_PER_MILLE 500

static struct fake_rules drawn[RULES_MAX];
static unsigned drawn_count;

static const char *const statuses_texts[FAKE_STATUSES] = {
    [STATUSES_WITH_302] = "\"statuses\":[\"200-299\",302]",
    [STATUSES_ONLY_200] = "\"statuses\":[200]",
};

static const char *const texts_texts[FAKE_TEXTS] = {
    [TEXTS_CONTAIN] = "\"contains\":[\"stored\"]",
    [TEXTS_DO_NOT_CONTAIN] = "\"contains_not\":[\"refused\"]",
    [TEXTS_POINTER] = "\"pointer\":\"/success\",\"equals\":true",
};

static const char *const probe_texts[FAKE_PROBES] = {
    [FAKE_PROBE_POINTER] =
        "\"yes\":{\"pointer\":\"/state\",\"equals\":\"processed\"},"
        "\"no\":{\"statuses\":[\"200-499\"],\"pointer\":\"/state\",\"equals\":\"absent\"}",
    [FAKE_PROBE_STATUS] = "\"yes\":{\"statuses\":[200],\"contains\":[\"processed\"]},"
                          "\"no\":{\"statuses\":[404]}",
    [FAKE_PROBE_ONLY_YES] = "\"yes\":{\"contains\":[\"processed\"]}",
    [FAKE_PROBE_OVERLAP] = "\"yes\":{\"statuses\":[\"200-499\"],\"contains\":[\"processed\"]},"
                           "\"no\":{\"statuses\":[404]}",
};

static const char *const body_texts[FAKE_BODIES] = {
    [BODY_GOOD] = "{\"result\":\"stored\",\"success\":true}",
    [BODY_BAD] = "{\"result\":\"refused\",\"success\":false}",
    [BODY_NO_JSON] = "stored",
    [BODY_EMPTY] = "",
    [BODY_GOOD_CUT] = "{\"result\":\"stored\",\"succ",
    [BODY_BAD_CUT] = "{\"result\":\"refused\",\"succ",
};

#define YES SUCCESS_YES
#define NO SUCCESS_NO
#define UNKNOWN SUCCESS_UNKNOWN
/* In the order of enum fake_body. */
static const enum success body_meanings[FAKE_TEXTS][FAKE_BODIES] = {
    [TEXTS_ANY] = {YES, YES, YES, YES, YES, YES},
    [TEXTS_CONTAIN] = {YES, NO, YES, NO, YES, UNKNOWN},
    [TEXTS_DO_NOT_CONTAIN] = {YES, NO, YES, YES, UNKNOWN, NO},
    [TEXTS_POINTER] = {YES, NO, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN},
};
#undef YES
#undef NO
#undef UNKNOWN

static const struct {
    int status;
    const char *text;
} reports[FAKE_REPORTS] = {
    [REPORT_PROCESSED] = {200, "{\"state\":\"processed\"}"},
    [REPORT_ABSENT] = {404, "{\"state\":\"absent\"}"},
    [REPORT_LOOKING] = {200, "{\"state\":\"looking\"}"},
    [REPORT_BUSY] = {503, "{\"state\":\"busy\"}"},
    [REPORT_BOTH] = {404, "{\"state\":\"processed\"}"},
    [REPORT_CUT] = {200, "{\"state\":\"proc"},
};

/* All that are not named here say nothing. */
static const enum probe_answer report_meanings[FAKE_PROBES][FAKE_REPORTS] = {
    [FAKE_PROBE_POINTER] = {[REPORT_PROCESSED] = PROBE_YES, [REPORT_ABSENT] = PROBE_NO},
    [FAKE_PROBE_STATUS] =
        {[REPORT_PROCESSED] = PROBE_YES, [REPORT_ABSENT] = PROBE_NO, [REPORT_BOTH] = PROBE_NO},
    [FAKE_PROBE_ONLY_YES] = {[REPORT_PROCESSED] = PROBE_YES},
    [FAKE_PROBE_OVERLAP] = {[REPORT_PROCESSED] = PROBE_YES, [REPORT_ABSENT] = PROBE_NO},
};
_Static_assert(PROBE_UNKNOWN == 0, "the default of the table");

void fake_rules_begin(void)
{
    drawn_count = 1; /* drawn[0]: the default rules */
}

const struct fake_rules *fake_rules_draw(void)
{
    struct fake_rules rules = {0};
    if (sim_chance(STREAM_RULES, HAS_RULE_PER_MILLE)) {
        rules.statuses = (enum fake_statuses)sim_below(STREAM_RULES, FAKE_STATUSES);
        rules.texts = (enum fake_texts)sim_below(STREAM_RULES, FAKE_TEXTS);
    }
    if (sim_chance(STREAM_RULES, HAS_PROBE_PER_MILLE))
        rules.probe = (enum fake_probe)(1 + sim_below(STREAM_RULES, FAKE_PROBES - 1));
    if (!rules.statuses && !rules.texts && !rules.probe)
        return &drawn[0];
    fail_unless(drawn_count < RULES_MAX, BROKEN_SIM, "too many rules: raise RULES_MAX");
    rules.number = drawn_count;
    drawn[drawn_count] = rules;
    tally(TALLY_RULES);
    return &drawn[drawn_count++];
}

const struct fake_rules *fake_rules_of_number(unsigned number)
{
    fail_unless(
        number < drawn_count, "P4", "a request has the header " FAKE_RULES_HEADER "%u", number);
    return &drawn[number];
}

void fake_rules_write(
    const struct fake_rules *rules, const char *host, char ret_text[FAKE_RULES_TEXT_BYTES])
{
    const char *statuses = statuses_texts[rules->statuses], *texts = texts_texts[rules->texts];
    ret_text[0] = '\0';
    if (rules->number == 0)
        return;
    int len = snprintf(
        ret_text, FAKE_RULES_TEXT_BYTES, "\"headers\":{\"X-Rules\":\"%u\"}", rules->number);
    if (statuses || texts)
        len +=
            snprintf(ret_text + len, FAKE_RULES_TEXT_BYTES - (size_t)len, ",\"success\":{%s%s%s}",
                statuses ? statuses : "", statuses && texts ? "," : "", texts ? texts : "");
    if (rules->probe)
        snprintf(ret_text + len, FAKE_RULES_TEXT_BYTES - (size_t)len,
            ",\"status_probe\":{\"url\":\"https://%s.example/status/{id}\",%s}", host,
            probe_texts[rules->probe]);
}

bool fake_rules_read_body(const struct fake_rules *rules)
{
    return rules->texts != TEXTS_ANY;
}

enum success fake_rules_judge(const struct fake_rules *rules, int status, enum fake_body body)
{
    bool is_2xx = status >= 200 && status < 300;
    bool is_success = rules->statuses == STATUSES_ONLY_200
                          ? status == 200
                          : is_2xx || (rules->statuses == STATUSES_WITH_302 && status == 302);
    return is_success ? body_meanings[rules->texts][body] : SUCCESS_NO;
}

enum probe_answer fake_rules_judge_report(const struct fake_rules *rules, enum fake_report report)
{
    return report_meanings[rules->probe][report];
}

bool fake_rules_can_resolve(const struct fake_rules *rules, bool processed)
{
    enum fake_report truth = processed ? REPORT_PROCESSED : REPORT_ABSENT;
    return fake_rules_judge_report(rules, truth) != PROBE_UNKNOWN;
}

struct slice fake_body_text(enum fake_body body)
{
    return slice_from_string(body_texts[body]);
}

bool fake_body_is_cut(enum fake_body body)
{
    return body == BODY_GOOD_CUT || body == BODY_BAD_CUT;
}

struct slice fake_report_text(enum fake_report report)
{
    return slice_from_string(reports[report].text);
}

int fake_report_status(enum fake_report report)
{
    return reports[report].status;
}
