/* SPDX-License-Identifier: Apache-2.0 */
/* The input is the rules of a partner. Rules that are accepted are printed. The text is accepted
 * again, and printed in the same way. */
#include "model/partner_rules.h"
#include "model/refusal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct partner_rules rules = {0}, again = {0};
    struct refusal refusal = {0};
    struct buffer text = BUFFER_EMPTY, text_again = BUFFER_EMPTY;
    if (partner_rules_change(&rules, slice_of(data, size), &refusal) != OK)
        return 0;
    partner_rules_print(&rules, &text);
    if (partner_rules_change(&again, buffer_slice(&text), &refusal) != OK)
        abort();
    partner_rules_print(&again, &text_again);
    if (!slice_equal(buffer_slice(&text), buffer_slice(&text_again)))
        abort();
    (void)partner_rules_allow(&rules, &in6addr_loopback);
    (void)partner_rules_fit_certificate(&rules, &(struct tls_identity){0});
    buffer_done(&text);
    buffer_done(&text_again);
    return 0;
}
