/* SPDX-License-Identifier: Apache-2.0 */
/* Findings, and what all phases of the audit ask of their run. */
#include "history/audit_internal.h"

#include "base/clock.h"
#include "model/operator_event.h"

#include <stdio.h>

const char *audit_kind_name(enum audit_kind kind)
{
    static const char *const names[AUDIT_KINDS] = {
#define X(symbol, name, meaning) [symbol] = name,
        AUDIT_KIND_TABLE(X)
#undef X
    };
    return names[kind];
}

const char *audit_kind_meaning(enum audit_kind kind)
{
    static const char *const meanings[AUDIT_KINDS] = {
#define X(symbol, name, meaning) [symbol] = meaning,
        AUDIT_KIND_TABLE(X)
#undef X
    };
    return meanings[kind];
}

void audit_set_text(char *ret_text, size_t size, struct slice text)
{
    size_t len = text.len < size ? text.len : size - 1;
    if (len)
        memcpy(ret_text, text.data, len);
    ret_text[len] = '\0';
}

struct audit_finding audit_finding_of(enum audit_kind kind, const struct event_parts *parts)
{
    struct audit_finding finding = {.kind = kind, .index = -1, .day = -1};
    if (!parts)
        return finding;
    finding.has_event = true;
    finding.event = parts->id;
    finding.accepted_us = parts->accepted_us;
    finding.day = parts->accepted_us / US_PER_DAY;
    audit_set_text(finding.account, sizeof finding.account, parts->account);
    audit_set_text(finding.amount, sizeof finding.amount, parts->amount);
    audit_set_text(finding.currency, sizeof finding.currency, parts->currency);
    return finding;
}

void audit_note(struct audit_run *run, const struct audit_finding *finding)
{
    if (run->findings_count < AUDIT_FINDINGS_MAX)
        run->findings[run->findings_count++] = *finding;
    else
        run->findings_more++;
}

void audit_note_losses(struct audit_run *run, const struct audit_loss *losses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct audit_finding finding = audit_finding_of(AUDIT_LOST_FILE, NULL);
        if (losses[i].day < run->question.from_day)
            continue;
        finding.day = losses[i].day;
        audit_set_text(finding.place, sizeof finding.place, slice_from_string(losses[i].place));
        audit_note(run, &finding);
    }
}

bool audit_asks_for_event(const struct audit_run *run, struct slice partner, struct slice account)
{
    return !operator_event_is_own(partner, account) &&
           (!*run->question.account || slice_equals_string(account, run->question.account));
}

bool audit_time_is_up(const struct audit_run *run)
{
    return clock_mono_us() >= run->deadline_us;
}

void audit_note_unreadable(struct audit_run *run, const char *what, int64_t behind)
{
    struct audit_finding finding = audit_finding_of(AUDIT_UNREADABLE, NULL);
    snprintf(finding.place, sizeof finding.place, "journal-%u.db, %s, after %lld", run->shard, what,
        (long long)behind);
    audit_note(run, &finding);
}
