/* SPDX-License-Identifier: Apache-2.0 */
#include "clients.h"

#include "base/clock.h"
#include "fake_accounts.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#define LATENCY_MS_MAX 50
#define CONNECT_HANGS_PER_MILLE 300
#define RETRY_AFTER_S_MAX 60

static struct {
    enum client_mood mood;
    int64_t changed_us;
} clients[FAKE_ENDPOINTS];

static const char *const names[CLIENT_MOODS] = {[CLIENT_MOODY] = "moody",
    [CLIENT_WELL] = "well",
    [CLIENT_FAILS] = "fails",
    [CLIENT_HANGS] = "hangs",
    [CLIENT_REFUSES] = "refuses",
    [CLIENT_THROTTLES] = "throttles",
    [CLIENT_FLAKY] = "flaky",
    [CLIENT_REJECTS] = "rejects"};

void clients_begin(void)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
        clients[i].mood = CLIENT_MOODY;
}

void clients_set(unsigned endpoint, enum client_mood mood)
{
    if (clients[endpoint].mood == mood)
        return;
    clients[endpoint].mood = mood;
    clients[endpoint].changed_us = sim_mono_us();
    trace("client %s: %s", fake_endpoints[endpoint].name, names[mood]);
}

void clients_set_all(enum client_mood mood)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
        clients_set(i, mood);
}

bool clients_are_well(unsigned endpoint)
{
    return clients[endpoint].mood == CLIENT_WELL;
}

int64_t clients_changed_us(unsigned endpoint)
{
    return clients[endpoint].changed_us;
}

static void plan_hang(const struct client_request *request, struct client_plan *ret_plan)
{
    bool connects = !sim_chance(STREAM_CLIENTS, CONNECT_HANGS_PER_MILLE);
    ret_plan->after_us = connects ? request->answer_timeout_us : request->connect_timeout_us;
    ret_plan->answer.end = (struct attempt_end){
        0, connects ? ERR_ANSWER_TIMEOUT : ERR_CONNECT_TIMEOUT, .request_begun = connects};
}

bool clients_plan(const struct client_request *request, struct client_plan *ret_plan)
{
    static const int statuses[] = {500, 503, 502, 408};
    struct slice id;
    const struct fake_endpoint *endpoint = request->get
                                               ? fake_endpoint_of_question(request->url, &id)
                                               : fake_endpoint_of_url(request->url);
    enum client_mood mood = endpoint ? clients[endpoint - fake_endpoints].mood : CLIENT_MOODY;
    *ret_plan = (struct client_plan){
        .after_us = (1 + sim_below(STREAM_CLIENTS, LATENCY_MS_MAX)) * US_PER_MS,
        .answer.end = {.http_status = 200, .request_begun = true}};
    if (mood == CLIENT_FLAKY)
        mood = sim_chance(STREAM_CLIENTS, 333) ? CLIENT_FAILS : CLIENT_WELL;
    switch (mood) {
    case CLIENT_MOODY:
        return false;
    case CLIENT_FAILS:
        ret_plan->answer.end.http_status = statuses[sim_below(STREAM_CLIENTS, 4)];
        break;
    case CLIENT_HANGS:
        plan_hang(request, ret_plan);
        break;
    case CLIENT_REFUSES:
        ret_plan->answer.end = (struct attempt_end){.error = ERR_CONNECT};
        break;
    case CLIENT_THROTTLES:
        ret_plan->answer.end.http_status = 429;
        ret_plan->answer.retry_after_us =
            (1 + sim_below(STREAM_CLIENTS, RETRY_AFTER_S_MAX)) * US_PER_SECOND;
        break;
    case CLIENT_REJECTS:
        ret_plan->answer.body = BODY_BAD;
        if (!request->answer_wanted || sim_chance(STREAM_RULES, 500))
            ret_plan->answer.end.http_status = 404;
        break;
    default:
        break;
    }
    return true;
}
