/* SPDX-License-Identifier: Apache-2.0 */
#include "http/patience.h"

#include "base/clock.h"

static const struct {
    int price;
    const char *name;
} kinds[] = {
#define X(symbol, price, name, why) [symbol] = {price, name},
    PATIENCE_TABLE(X)
#undef X
};

void patience_init(struct patience *patience, int64_t now_mono_us)
{
    *patience = (struct patience){.credit = PATIENCE_BURST, .refilled_mono_us = now_mono_us};
}

void patience_give(struct patience *patience, unsigned credit)
{
    patience->credit += credit;
    if (patience->credit > PATIENCE_BURST)
        patience->credit = PATIENCE_BURST;
}

static void refill(struct patience *patience, int64_t now_mono_us)
{
    int64_t passed_us = now_mono_us - patience->refilled_mono_us;
    int64_t credit = passed_us * PATIENCE_PER_SECOND / US_PER_SECOND;
    if (credit <= 0)
        return;
    if (credit >= PATIENCE_BURST)
        patience->refilled_mono_us = now_mono_us;
    else
        patience->refilled_mono_us += credit * US_PER_SECOND / PATIENCE_PER_SECOND;
    patience_give(patience, credit > PATIENCE_BURST ? PATIENCE_BURST : (unsigned)credit);
}

bool patience_spend(struct patience *patience, enum patience_kind kind, int64_t now_mono_us)
{
    refill(patience, now_mono_us);
    patience->credit -= kinds[kind].price;
    return patience->credit >= 0;
}

const char *patience_kind_name(enum patience_kind kind)
{
    return kinds[kind].name;
}
