/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an endpoint's settings say about answers: which of them are a success, and what an answer to
 * a status probe means. The gateway reads this from the JSON text of the settings. The model has a
 * table of its own. An operator may change it at any time.
 *
 * Each rule that is not the default has a number, which each request carries in a header. So it is
 * known by which rules the gateway sent a request. Its client answers by the same rules.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_RULES_H
#define PENSTOCK_TESTS_MODEL_FAKE_RULES_H

#include "model/endpoint_policy.h"

#define FAKE_RULES_HEADER "X-Rules: "
#define FAKE_RULES_TEXT_BYTES 640

enum fake_statuses { STATUSES_DEFAULT, STATUSES_WITH_302, STATUSES_ONLY_200, FAKE_STATUSES };
enum fake_texts { TEXTS_ANY, TEXTS_CONTAIN, TEXTS_DO_NOT_CONTAIN, TEXTS_POINTER, FAKE_TEXTS };
/* The rules for yes and no. ONLY_YES: no answer means no. OVERLAP: one answer meets both. */
enum fake_probe {
    FAKE_PROBE_NONE,
    FAKE_PROBE_POINTER,
    FAKE_PROBE_STATUS,
    FAKE_PROBE_ONLY_YES,
    FAKE_PROBE_OVERLAP,
    FAKE_PROBES
};

struct fake_rules {
    unsigned number; /* 0: the default rules, without a status probe */
    enum fake_statuses statuses;
    enum fake_texts texts;
    enum fake_probe probe;
};

/* The bodies of clients' answers. A cut one ends too early, or is too long. */
enum fake_body {
    BODY_GOOD,
    BODY_BAD,
    BODY_NO_JSON,
    BODY_EMPTY,
    BODY_GOOD_CUT,
    BODY_BAD_CUT,
    FAKE_BODIES
};

/* Clients' answers to a status probe. */
enum fake_report {
    REPORT_PROCESSED,
    REPORT_ABSENT,
    REPORT_LOOKING,
    REPORT_BUSY,
    REPORT_BOTH, /* the status says no, and the body says yes */
    REPORT_CUT,
    FAKE_REPORTS
};

void fake_rules_begin(void); /* called at the start of a seed */
const struct fake_rules *fake_rules_draw(void);
const struct fake_rules *fake_rules_of_number(unsigned number);
/* Writes them as members of a policy: "" for the default rules. `host`: the endpoint's name. */
void fake_rules_write(
    const struct fake_rules *rules, const char *host, char ret_text[FAKE_RULES_TEXT_BYTES]);

enum success fake_rules_judge(const struct fake_rules *rules, int status, enum fake_body body);
bool fake_rules_read_body(const struct fake_rules *rules);
enum probe_answer fake_rules_judge_report(const struct fake_rules *rules, enum fake_report report);
/* Returns whether some answer of a client resolves a delivery that it has (not) processed. */
bool fake_rules_can_resolve(const struct fake_rules *rules, bool processed);

struct slice fake_body_text(enum fake_body body);
bool fake_body_is_cut(enum fake_body body);
struct slice fake_report_text(enum fake_report report);
int fake_report_status(enum fake_report report);

#endif
