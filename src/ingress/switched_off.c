/* SPDX-License-Identifier: Apache-2.0 */
/* Posts while an operator has switched ingress or optional events off. The reason is for operators:
 * partners are not told. */
#include "base/clock.h"
#include "ingress/ingress_internal.h"

static enum err refuse_off(
    const struct operator_switch *off, const char *what, struct refusal *ret_refusal)
{
    char since[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(off->since_us, since);
    return refuse(ret_refusal, ERR_SWITCHED_OFF,
        "The operator of the gateway has switched off %s%s since %.19sZ. Send it again later with "
        "the same key.",
        what, off->account[0] ? " for this account" : "", since);
}

enum err ingress_check_switch(
    const struct ingress *ingress, struct slice account, struct refusal *ret_refusal)
{
    const struct operator_switch *off =
        directory_switch_off(ingress->options.directory, SWITCH_INGRESS, account, 0);
    return off ? refuse_off(off, "posts of events", ret_refusal) : OK;
}

enum err ingress_check_class_switch(const struct ingress *ingress, struct slice account,
    enum event_class class, struct refusal *ret_refusal)
{
    const struct operator_switch *off =
        class == CLASS_OPTIONAL
            ? directory_switch_off(ingress->options.directory, SWITCH_OPTIONAL, account, 0)
            : NULL;
    return off ? refuse_off(off, "optional events", ret_refusal) : OK;
}

bool ingress_is_switched_on(struct ingress *ingress, struct http_exchange *exchange)
{
    struct refusal refusal;
    enum err failed = ingress_check_switch(ingress, slice_of(NULL, 0), &refusal);
    if (!failed)
        return true;
    result_count_refused(failed);
    http_answer_refusal(exchange, &refusal);
    return false;
}
