/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What counts as success is the client's choice. Some clients answer 200 and write in the body that
 * they did not take the event (`{"success": false}`); some answer 409 for an event that they have
 * already. A rule has up to four parts, and an answer must meet all of them:
 *
 *   statuses       the status is one of these; without the member: 200 to 299
 *   contains       each of these texts is in the body
 *   contains_not   none of these texts is in the body
 *   pointer        the body is JSON, and the value at this pointer (RFC 6901) equals `equals`:
 *                  a string, true, false, null, or a number. Integers are compared as they are
 *                  written, other numbers by their value
 *
 * The parts are judged in this order, and the first one that is not met is the reason. Texts are
 * compared byte by byte. The client reads a limited part of the body (ANSWER_RULE_BYTES_MAX); what
 * is not in it cannot be judged.
 *
 *   SUCCESS_YES       all parts are met
 *   SUCCESS_NO        the client said no: one part is not met
 *   SUCCESS_UNKNOWN   the statuses are met, but the body cannot be judged: it is cut, or it is not
 *                     JSON. Not a success. For a guarded event it is ambiguous: the client may have
 *                     done the work
 *
 * The parser gets the body in one piece, so its memory is bounded by the body. A body that is
 * nested deeper than EVENT_JSON_DEPTH_MAX cannot be judged.
 */
#ifndef PENSTOCK_MODEL_SUCCESS_RULE_H
#define PENSTOCK_MODEL_SUCCESS_RULE_H

#include "model/status_set.h"

#define SUCCESS_TEXTS_MAX 8        /* of each list */
#define SUCCESS_TEXT_BYTES_MAX 256 /* of a text, and of `equals` */
#define SUCCESS_WHY_BYTES 128      /* part of the evidence of an attempt */

enum success { SUCCESS_YES, SUCCESS_NO, SUCCESS_UNKNOWN };

enum json_value {
    JSON_VALUE_STRING,
    JSON_VALUE_NUMBER,
    JSON_VALUE_TRUE,
    JSON_VALUE_FALSE,
    JSON_VALUE_NULL
};

/* Immutable. The texts belong to the owner of the rule, an endpoint_policy. */
struct success_rule {
    struct status_set statuses;
    unsigned contains_count, contains_not_count;
    struct slice contains[SUCCESS_TEXTS_MAX], contains_not[SUCCESS_TEXTS_MAX];
    struct slice pointer; /* empty: none; else key_pointer_is_valid */
    enum json_value equals;
    struct slice equals_text; /* of a string, decoded; of a number, as it was written */
};

/* 200 to 299, whatever the body. */
extern const struct success_rule success_rule_default;

/* Returns true if the rule looks at the body. NULL is the default rule. */
bool success_rule_wants_body(const struct success_rule *rule);

/*
 * Judges an answer. `body` is decoded from its transfer coding; `cut` says that more of it
 * followed, or should have. `ret_why` has the reason in words, printable ASCII, such as "the value
 * at /success is false, not true"; it is empty for the default rule with a success, and "the rule
 * is met" for any other success. NULL is the default rule.
 */
enum success success_rule_judge(const struct success_rule *rule, int status, struct slice body,
    bool cut, char ret_why[SUCCESS_WHY_BYTES]);

#endif
