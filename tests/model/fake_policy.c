/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_policy.h"

#include "base/clock.h"
#include "model/refusal.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#include <stdarg.h>
#include <stdio.h>

#define STREAM STREAM_CLIENTS
#define HAS_ONE_PER_MILLE 400
#define HAS_MEMBER_PER_MILLE 400

static void append(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends one member of the JSON object. */
static void append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    if (used > 0)
        used += (size_t)snprintf(text + used, size - used, ",");
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

static bool has_member(void)
{
    return sim_chance(STREAM, HAS_MEMBER_PER_MILLE);
}

static void draw_members(struct fake_policy *policy, char *text, size_t size)
{
    static const int steps_s[FAKE_STEPS_MAX] = {2, 20, 600};
    static const int horizons_s[] = {30, 900, 20000};
    if (has_member()) {
        policy->steps = FAKE_STEPS_MAX;
        append(text, size, "\"retry_schedule\":[\"2s\",\"20s\",\"600s\"]");
        for (unsigned i = 0; i < FAKE_STEPS_MAX; i++)
            policy->steps_us[i] = steps_s[i] * US_PER_SECOND;
    }
    if (has_member()) {
        int horizon_s = horizons_s[sim_below(STREAM, 3)];
        policy->horizon_us = horizon_s * US_PER_SECOND;
        append(text, size, "\"horizon\":\"%ds\"", horizon_s);
    }
    if (has_member()) {
        policy->in_flight_max = 1 + sim_below(STREAM, 6);
        append(text, size, "\"in_flight_max\":%u", policy->in_flight_max);
    }
    if (has_member()) {
        policy->critical_in_flight_max = 1 + sim_below(STREAM, 3);
        append(text, size, "\"classes\":{\"critical\":{\"in_flight_max\":%u}}",
            policy->critical_in_flight_max);
    }
    if (has_member()) {
        policy->rate_max = 5 + sim_below(STREAM, 20);
        append(text, size, "\"rate_max\":%u", policy->rate_max);
    }
    policy->final_404 = has_member();
    if (policy->final_404)
        append(text, size, "\"final_statuses\":[404]");
}

static void parse(struct fake_policy *policy, const char *host)
{
    char rules[FAKE_RULES_TEXT_BYTES], text[FAKE_MEMBERS_BYTES + FAKE_RULES_TEXT_BYTES + 4];
    fake_rules_write(policy->rules, host, rules);
    bool has_both = policy->members[0] && rules[0];
    snprintf(text, sizeof text, "{%s%s%s}", policy->members, has_both ? "," : "", rules);
    policy->parsed = NULL; /* never freed: an attempt may have it */
    if (!policy->members[0] && !rules[0])
        return;
    struct refusal refusal = {0};
    enum err failed =
        endpoint_policy_parse(slice_from_string(text), NULL, &policy->parsed, &refusal);
    fail_unless(!failed, BROKEN_SIM, "no policy: %s: %s", err_name(failed), text);
    trace("policy %s", text);
    tally(TALLY_POLICIES);
}

void fake_policy_draw(struct fake_policy *ret_policy, const char *host)
{
    *ret_policy = (struct fake_policy){.rules = fake_rules_draw()};
    if (sim_chance(STREAM, HAS_ONE_PER_MILLE))
        draw_members(ret_policy, ret_policy->members, sizeof ret_policy->members);
    parse(ret_policy, host);
}

void fake_policy_change_rules(struct fake_policy *policy, const char *host)
{
    policy->rules = fake_rules_draw();
    parse(policy, host);
}
