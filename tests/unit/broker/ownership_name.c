/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/ownership.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

#define JOURNAL "0123456789abcdef0123456789abcdef"
#define BEFORE                                                                                   \
    "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'penstock.owner' " \
    "in vhost '/': "                                                                             \
    "received 'penstock.ffffffffffffffffffffffffffffffff.7' "

Test(ownership_name, fits_its_buffer_with_any_time)
{
    char name[BROKER_OWNERSHIP_NAME_BYTES];
    broker_ownership_name(
        &(struct broker_ownership){.journal = JOURNAL, .since_s = 1732458000}, name);
    cr_assert_str_eq(name, "penstock." JOURNAL ".1732458000");
    broker_ownership_name(
        &(struct broker_ownership){.journal = JOURNAL, .since_s = INT64_MIN}, name);
    cr_assert_str_eq(name, "penstock." JOURNAL ".-9223372036854775808");
}

/* Texts of RabbitMQ 3.10. NULL: no journal can be read. */
static const struct {
    const char *refusal, *journal;
    int64_t since_s;
} refusals[] = {
    {BEFORE "but current is 'penstock." JOURNAL ".1732458000'", JOURNAL, 1732458000},
    {BEFORE "but current is 'penstock." JOURNAL ".999999999999'", JOURNAL, 999999999999},
    {BEFORE "but current is 'penstock." JOURNAL ".9999999999999'", JOURNAL, 0},
    {BEFORE "but current is 'penstock." JOURNAL ".17324...", JOURNAL, 0},
    {BEFORE "but current is 'penstock." JOURNAL ".1732458000", JOURNAL, 0},
    {BEFORE "but current is 'penstock." JOURNAL ".", JOURNAL, 0},
    {BEFORE "but current is 'penstock." JOURNAL, NULL, 0},
    {BEFORE "but current is 'penstock." JOURNAL "...", JOURNAL, 0},
    {BEFORE "but current is 'penstock.0123456789abcdef0123...", NULL, 0},
    {BEFORE "but current is 'penstock.0123456789ABCDEF0123456789abcdef.1'", NULL, 0},
    {BEFORE "but current is 'unrouted'", NULL, 0},
    {BEFORE "but current is", NULL, 0},
    {"PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'penstock.owner' in "
     "vhost '/': received "
     "the value 'penstock." JOURNAL ".1' of type 'longstr' but current is none",
        NULL, 0},
    {"", NULL, 0},
};

Test(ownership_name, is_read_from_a_refusal)
{
    for (size_t i = 0; i < ARRAY_LENGTH(refusals); i++) {
        struct broker_ownership ownership = {.journal = "untouched"};
        bool is_read = broker_ownership_parse(slice_from_string(refusals[i].refusal), &ownership);
        cr_expect_eq(is_read, refusals[i].journal != NULL, "%s", refusals[i].refusal);
        cr_expect_str_eq(ownership.journal, refusals[i].journal ? refusals[i].journal : "untouched",
            "%s", refusals[i].refusal);
        cr_expect_eq(ownership.since_s, refusals[i].since_s, "%s", refusals[i].refusal);
    }
}
