/* SPDX-License-Identifier: Apache-2.0 */
#include "http/refusals.h"

#include "base/clock.h"
#include "base/memory.h"
#include "runtime/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_EVERY_US US_PER_SECOND

struct refusals {
    /* shared: atomic */
    struct {
        _Atomic int64_t next_line_us;
        _Atomic uint64_t left_out;
    } of[REFUSAL_COUNT];
};

static const struct {
    const char *name;
    enum metric metric;
    enum err error;
} reasons[REFUSAL_COUNT] = {
#define X(symbol, name_, metric_, error_) \
    [symbol] = {.name = name_, .metric = metric_, .error = error_},
    REFUSAL_TABLE(X)
#undef X
};

const char *refusal_name(enum refusal_reason reason)
{
    return reasons[reason].name;
}

enum refusal_reason refusal_of_error(enum err error)
{
    for (unsigned i = 0; i < REFUSAL_COUNT; i++)
        if (error != OK && reasons[i].error == error)
            return (enum refusal_reason)i;
    return REFUSAL_OTHER;
}

struct refusals *refusals_new(void)
{
    struct refusals *refusals;
    MEMORY_NEW(refusals);
    return refusals;
}

void refusals_free(struct refusals *refusals)
{
    free(refusals);
}

/* Of several threads one gets the line of a second. */
static bool take_line(struct refusals *refusals, enum refusal_reason reason, int64_t now_us)
{
    int64_t next_us =
        atomic_load_explicit(&refusals->of[reason].next_line_us, memory_order_relaxed);
    return now_us >= next_us && atomic_compare_exchange_strong(&refusals->of[reason].next_line_us,
                                    &next_us, now_us + LINE_EVERY_US);
}

bool refusals_count(
    struct refusals *refusals, enum refusal_reason reason, int64_t now_us, uint64_t *ret_left_out)
{
    metrics_add(reasons[reason].metric, 1);
    if (take_line(refusals, reason, now_us)) {
        *ret_left_out = atomic_exchange(&refusals->of[reason].left_out, 0);
        return true;
    }
    atomic_fetch_add_explicit(&refusals->of[reason].left_out, 1, memory_order_relaxed);
    return false;
}

static const char *or_none(const char *text)
{
    return text && *text ? text : "-";
}

/* A pointer may have names that a partner has chosen. */
static const char *or_none_printable(const char *pointer)
{
    for (const char *c = pointer; c && *c; c++)
        if (*c <= 0x20 || *c >= 0x7f)
            return "-";
    return or_none(pointer);
}

/* What a caller did wrong is information; what the gateway cannot do, and attacks, are warnings. */
void refusals_log(const struct refused *refused, uint64_t left_out)
{
    bool cut = refused->status == 0;
    char status[12] = "cut";
    if (!cut)
        snprintf(status, sizeof status, "%d", refused->status);
    log_write(cut || refused->status >= 500 ? LOG_WARN : LOG_INFO,
        "refused: reason=%s status=%s partner=%s address=%s request=%s "
        "field=%s left_out=%llu",
        refusal_name(refused->reason), status, or_none(refused->partner), or_none(refused->address),
        or_none(refused->request_id), or_none_printable(refused->pointer),
        (unsigned long long)left_out);
}

bool refusals_take_left_out(struct refusals *refusals, int64_t now_us,
    enum refusal_reason *ret_reason, uint64_t *ret_left_out)
{
    for (unsigned i = 0; i < REFUSAL_COUNT; i++) {
        if (atomic_load_explicit(&refusals->of[i].left_out, memory_order_relaxed) == 0 ||
            !take_line(refusals, (enum refusal_reason)i, now_us))
            continue;
        *ret_reason = (enum refusal_reason)i;
        *ret_left_out = atomic_exchange(&refusals->of[i].left_out, 0);
        return true;
    }
    return false;
}

void refusals_tick(struct refusals *refusals, int64_t now_us)
{
    enum refusal_reason reason;
    uint64_t left_out;
    while (refusals_take_left_out(refusals, now_us, &reason, &left_out))
        log_info(
            "refused: reason=%s left_out=%llu", refusal_name(reason), (unsigned long long)left_out);
}
