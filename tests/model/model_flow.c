/* SPDX-License-Identifier: Apache-2.0 */
#include "model_flow.h"

#include "base/clock.h"
#include "clients.h"
#include "fake_accounts.h"
#include "fake_broker.h"
#include "fake_switches.h"
#include "model_internal.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#define RUN_OPENS 10   /* failures in a row that open the breaker */
#define RUN_RECOVERS 3 /* failures in a row after which a success is a recovery */
#define SHARE_COUNT 10 /* results: from here on a share of failures may open it */
#define SHARE_DIVISOR 2
#define WINDOW_US (10 * US_PER_SECOND)
#define RESULTS_KEPT 64
#define PROBES_AT_ONCE 5
#define CLASSES 3
#define RATE_SLACK \
    3 /* attempts: probes are not held back, and guarded ones count when they begin */
#define EARLY_US (10 * US_PER_MS) /* tolerance: a loop's clock may be a little behind */
#define MOVES_US (15 * US_PER_SECOND)
#define LOOK_US (5 * US_PER_SECOND)
#define THROTTLED_US (10 * US_PER_SECOND) /* after a 429, a success is a recovery */
#define GONE_US (60 * US_PER_SECOND)
#define FRESH_US (10 * US_PER_SECOND) /* with little memory and a backlog; no timeout is as short */
#define PROBE_CHOSEN_US US_PER_SECOND
#define LONG_IN_FLIGHT_US US_PER_SECOND

struct result {
    int64_t at_us;
    bool failed;
};

/* All times are monotonic. */
struct flow {
    struct result results[RESULTS_KEPT]; /* a ring */
    unsigned results_count;
    unsigned run;         /* failures in a row, of attempts that were sent after the last edge */
    int64_t edge_us;      /* the last success or change */
    int64_t failed_us;    /* the last failure, 429 included, or sign of trouble */
    int64_t throttled_us; /* the last 429; 0: none */
    bool open, may_be_open;
    int64_t opened_us, may_be_opened_us;
    bool opened_before;          /* perhaps: then the next probe is due at any time */
    unsigned probes;             /* since then */
    bool unsettled;              /* it was changed, and the gateway may not know */
    bool was_open;               /* for certain, when it was changed */
    bool failed_before;          /* something waited because of it when the gateway started */
    bool has_succeeded;          /* in this run of the gateway */
    int64_t recovered_us;        /* the last certain recovery; 0: none in this run */
    int64_t may_be_recovered_us; /* the last one that is possible */
    unsigned in_flight, class_in_flight[CLASSES];
    double room; /* of its rate: attempts that may be sent at once */
    int64_t sent_us;
    int64_t look_us;  /* the last attempt that only looks whether it is back; 0: none in this run */
    int64_t busy_us;  /* the last time that it moved in a narrow shard */
    int64_t back_us;  /* since when it is awaited: its breaker was open, and it is well; 0: not */
    bool back_slowly; /* all of its probes were in flight then, and may hang */
};

static struct flow flows[FAKE_ENDPOINTS];
static unsigned in_flight, in_flight_max, shard_in_flight_max;
static unsigned latest_in_flight_max, latest_shard_in_flight_max;
static bool exact, calm, narrow;
static int64_t calm_us;

static bool exists(const struct model_delivery *delivery)
{
    return delivery->on_disk && !delivery->post->expired;
}

static struct flow *flow_of(uint64_t endpoint)
{
    return &flows[fake_endpoint_of_id(endpoint) - fake_endpoints];
}

static const char *name_of(const struct flow *flow)
{
    return fake_endpoints[flow - flows].name;
}

void model_flow_begin(void)
{
    model_flow_restarted();
    exact = calm = narrow = false;
}

void model_flow_restarted(void)
{
    memset(flows, 0, sizeof flows);
    in_flight = 0;
    in_flight_max = latest_in_flight_max;
    shard_in_flight_max = latest_shard_in_flight_max;
}

void model_flow_endpoint_changed(uint64_t endpoint)
{
    struct flow *flow = flow_of(endpoint);
    flow->was_open |= flow->open;
    flow->unsettled = true;
    flow->open = false;
    flow->run = 0;
    flow->back_us = 0;
}

void model_flow_policy(unsigned max, unsigned shard_max)
{
    latest_in_flight_max = max;
    latest_shard_in_flight_max = shard_max;
    in_flight_max = max > in_flight_max ? max : in_flight_max;
    shard_in_flight_max = shard_max > shard_in_flight_max ? shard_max : shard_in_flight_max;
}

/* The outcome of a guarded attempt is committed at once: a crash would leave it in doubt. */
static void check_recorded(void)
{
    for (unsigned i = 0; exact && calm && i < model_posts_count(); i++)
        for (unsigned j = 0; j < model_post(i)->deliveries_count; j++) {
            const struct model_delivery *delivery = &model_post(i)->deliveries[j];
            bool waits = exists(delivery) && delivery->state == DELIVERY_SENDING &&
                         delivery->ended_number == delivery->attempts + 1 &&
                         delivery->sent_us > calm_us && !delivery->in_flight;
            char name[NAME_BYTES];
            model_name(delivery, name);
            fail_unless(!waits, "P5", "%s is guarded and has ended, but is not recorded", name);
        }
}

void model_flow_all_is_received(void)
{
    check_recorded();
    in_flight_max = latest_in_flight_max;
    shard_in_flight_max = latest_shard_in_flight_max;
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
        struct flow *flow = &flows[i];
        if (!flow->unsettled)
            continue;
        flow->unsettled = false;
        if (flow->was_open)
            flow->recovered_us = sim_mono_us();
        flow->was_open = false;
        flow->may_be_open = false;
        flow->run = 0;
        flow->edge_us = flow->may_be_recovered_us = sim_mono_us();
    }
}

void model_flow_time_is_exact(bool now_exact)
{
    exact = now_exact;
}

void model_flow_narrow(bool now_narrow)
{
    narrow = now_narrow;
}

void model_flow_calm(bool now_calm)
{
    if (now_calm && !calm)
        calm_us = sim_mono_us();
    calm = now_calm;
    for (unsigned i = 0; !calm && i < FAKE_ENDPOINTS; i++)
        flows[i].back_us = 0;
}

/* Waiting deliveries. */

static bool waits_for_endpoint(const struct model_delivery *delivery)
{
    return exists(delivery) && delivery->state == DELIVERY_WAITING &&
           delivery->wait.cause == WAIT_ENDPOINT;
}

void model_flow_found_waiting(const struct model_delivery *delivery)
{
    if (waits_for_endpoint(delivery) && fake_endpoint_of_id(delivery->endpoint))
        flow_of(delivery->endpoint)->failed_before = true;
}

/* The gateway's clock of this run. */
static int64_t clock_of(int64_t mono_us)
{
    return model_run_us() - (sim_mono_us() - mono_us);
}

/* Attempts. */

/* When the probe with this number is sent at the earliest, after the opening. */
static int64_t probe_after_us(unsigned number)
{
    int64_t after_us = 0, interval_us = US_PER_SECOND;
    for (unsigned i = 0; i < number; i++) {
        after_us += interval_us;
        interval_us = interval_us * 2 < 10 * US_PER_SECOND ? interval_us * 2 : 10 * US_PER_SECOND;
    }
    return after_us;
}

/* A switch holds it, or may have held it when the probe was chosen. */
static bool may_be_held(const struct model_delivery *delivery, const struct fake_endpoint *endpoint)
{
    return fake_switches_have_changed_since(sim_mono_us() - PROBE_CHOSEN_US) ||
           (delivery->post->class == CLASS_OPTIONAL &&
               fake_switches_are_off(SWITCH_OPTIONAL, endpoint)) ||
           (delivery->state == DELIVERY_WAITING && fake_switches_are_off(SWITCH_RETRIES, endpoint));
}

/* A guarded event is the last choice for a probe: if the client hangs, it is in doubt. When all
 * others were tried, they may be the reason. */
static void check_guarded_probe(const struct flow *flow, const char *name)
{
    const struct fake_endpoint *endpoint_of = &fake_endpoints[flow - flows];
    uint64_t endpoint = endpoint_of->id;
    unsigned count = 0;
    int64_t opened_us = flow->opened_before ? flow->may_be_opened_us : flow->opened_us;
    const struct model_delivery *better = NULL;
    if (fake_broker_partitions() > 0) /* suspended events are not in the journal's answer */
        return;
    for (unsigned i = 0; i < model_posts_count(); i++)
        for (unsigned j = 0; j < model_post(i)->deliveries_count; j++) {
            const struct model_delivery *delivery = &model_post(i)->deliveries[j];
            bool is_pending = delivery->state == DELIVERY_PENDING && delivery->generation == 0;
            if (!exists(delivery) || delivery->endpoint != endpoint || delivery->broker_owned)
                continue;
            count += delivery->state == DELIVERY_PENDING || delivery->state == DELIVERY_WAITING;
            if (!is_pending && !waits_for_endpoint(delivery))
                continue;
            if (may_be_held(delivery, endpoint_of))
                continue;
            bool was_tried = delivery->sent_us + PROBE_CHOSEN_US > opened_us;
            if (!delivery->post->guarded && !delivery->in_flight && !was_tried &&
                delivery->ended_number <= delivery->attempts &&
                delivery->seen_us + PROBE_CHOSEN_US < sim_mono_us())
                better = delivery;
        }
    char better_name[NAME_BYTES] = "";
    if (better)
        model_name(better, better_name);
    fail_unless(!better || count > LOAD_PROBE_LOOKED, "P7",
        "%s is guarded, and is sent as a probe before %s", name, better_name);
}

static void check_probe(struct flow *flow, bool guarded, const char *name)
{
    int64_t since_us = sim_mono_us() - flow->opened_us;
    /* A guarded one may have begun before the opening, and was then held up by the disk. */
    if (guarded && since_us < US_PER_SECOND)
        return;
    flow->probes++;
    tally(TALLY_PROBES);
    if (guarded && exact)
        check_guarded_probe(flow, name);
    int64_t least_us = probe_after_us(flow->probes) - probe_after_us(flow->opened_before);
    fail_unless(!exact || since_us + EARLY_US >= least_us, "P7",
        "%s is sent %lld ms after %s has failed %u times in a row, and is attempt %u since then",
        name, (long long)(since_us / US_PER_MS), name_of(flow), RUN_OPENS, flow->probes);
}

/* A look whether an endpoint that failed is back, while no other attempt shows it. */
static bool is_look(struct flow *flow)
{
    bool first = flow->look_us == 0;
    bool is = first || sim_mono_us() - flow->look_us + EARLY_US >= LOOK_US;
    if (is)
        flow->look_us = sim_mono_us();
    return is;
}

static void check_early(struct flow *flow, const struct model_delivery *delivery, const char *name)
{
    const struct model_wait *wait = &delivery->wait;
    tally(flow->may_be_open ? TALLY_EARLY_PROBES : TALLY_EARLY_RECOVERED);
    if (flow->may_be_open || flow->unsettled)
        return;
    bool recovered = wait->cause == WAIT_ENDPOINT && flow->may_be_recovered_us != 0 &&
                     wait->began_us <= clock_of(flow->may_be_recovered_us);
    fail_unless(recovered || is_look(flow), "P7",
        "%s is sent %lld ms before it is due, but %s has not recovered since it began to wait",
        name, (long long)((wait->due_us - model_run_us()) / US_PER_MS), name_of(flow));
}

/* What the endpoint's settings permit, or the gateway's. */
static unsigned cap_of(const struct fake_policy *policy, enum event_class class)
{
    if (class == CLASS_CRITICAL && policy->critical_in_flight_max > 0)
        return policy->critical_in_flight_max;
    return policy->in_flight_max > 0 ? policy->in_flight_max : in_flight_max;
}

static void check_caps(const struct flow *flow, enum event_class class, const char *name)
{
    const struct fake_policy *policy = &fake_endpoints[flow - flows].policy;
    unsigned class_cap = cap_of(policy, class), cap = 0;
    for (unsigned i = 0; i < CLASSES; i++)
        if (cap_of(policy, (enum event_class)i) > cap)
            cap = cap_of(policy, (enum event_class)i);
    fail_unless(flow->in_flight <= cap, "P7",
        "%s is sent: now %s has %u in flight, and %u are permitted", name, name_of(flow),
        flow->in_flight, cap);
    fail_unless(flow->class_in_flight[class] <= class_cap, "P7",
        "%s is sent: now %s has %u of its class in flight, and %u are permitted", name,
        name_of(flow), flow->class_in_flight[class], class_cap);
}

/* A bucket that is refilled by the rate, and has one second's worth. */
static void check_rate(struct flow *flow, const char *name)
{
    unsigned rate = fake_endpoints[flow - flows].policy.rate_max;
    if (rate == 0)
        return;
    double gone_s = (double)(sim_mono_us() - flow->sent_us) / (double)US_PER_SECOND;
    flow->room += gone_s * rate;
    if (flow->sent_us == 0 || flow->room > rate)
        flow->room = rate;
    flow->room--;
    fail_unless(!exact || flow->room > -(double)RATE_SLACK, "P7",
        "%s is sent, but %s gets at most %u attempts in a second", name, name_of(flow), rate);
}

void model_flow_sent(struct model_delivery *delivery, bool guarded, const char *name)
{
    struct flow *flow = flow_of(delivery->endpoint);
    delivery->sent_us = sim_mono_us();
    delivery->was_waiting = delivery->wait.is_known;
    delivery->was_replay = delivery->lane == LANE_REPLAY && !flow->may_be_open;
    if (delivery->wait.is_known && delivery->wait.due_us > model_run_us() + US_PER_MS)
        check_early(flow, delivery, name);
    if (flow->open)
        check_probe(flow, guarded, name);
    flow->in_flight++;
    flow->class_in_flight[delivery->post->class]++;
    in_flight++;
    if (!flow->may_be_open && !flow->unsettled)
        check_caps(flow, delivery->post->class, name);
    fail_unless(in_flight <= shard_in_flight_max, "P7",
        "%s is sent: now %u are in flight, and %u are permitted", name, in_flight,
        shard_in_flight_max);
    check_rate(flow, name);
    flow->sent_us = sim_mono_us();
    flow->back_us = 0;
}

/* Whether the last results, of however short a time, may have opened the breaker by their share. */
static unsigned failures_in_a_row(const struct flow *flow)
{
    unsigned count = 0;
    for (unsigned i = flow->results_count; i > 0 && count < RESULTS_KEPT; i--, count++)
        if (!flow->results[(i - 1) % RESULTS_KEPT].failed)
            break;
    return count;
}

static bool share_opens(const struct flow *flow)
{
    unsigned count = 0, failed = 0;
    for (unsigned i = flow->results_count; i > 0 && count < RESULTS_KEPT; i--) {
        const struct result *result = &flow->results[(i - 1) % RESULTS_KEPT];
        if (result->at_us + WINDOW_US < sim_mono_us())
            break;
        count++;
        failed += result->failed;
        if (count >= SHARE_COUNT && failed * SHARE_DIVISOR >= count)
            return true;
    }
    return false;
}

static void add_result(struct flow *flow, bool failed)
{
    flow->results[flow->results_count++ % RESULTS_KEPT] =
        (struct result){.at_us = sim_mono_us(), .failed = failed};
}

static void on_failure(struct flow *flow, const struct model_delivery *delivery)
{
    add_result(flow, true);
    flow->failed_us = sim_mono_us();
    if (delivery->sent_us > flow->edge_us && !delivery->was_replay)
        flow->run++;
    bool may_have_been_open = flow->may_be_open;
    if (failures_in_a_row(flow) >= RUN_OPENS || share_opens(flow))
        flow->may_be_open = true;
    if (flow->may_be_open && !may_have_been_open)
        flow->may_be_opened_us = sim_mono_us();
    if (flow->run < RUN_OPENS || flow->open || flow->unsettled)
        return;
    flow->open = true;
    flow->opened_us = sim_mono_us();
    flow->probes = 0;
    flow->opened_before = may_have_been_open;
    tally(TALLY_BREAKERS);
    trace("%s: its breaker is open", name_of(flow));
}

/* It may or may not end what the failures before it began. */
static void on_success_of_replay(struct flow *flow)
{
    flow->may_be_recovered_us = sim_mono_us();
    flow->has_succeeded = true;
    flow->run = 0;
    flow->edge_us = sim_mono_us();
}

static void on_success(struct flow *flow)
{
    bool was_throttled =
        flow->throttled_us != 0 && sim_mono_us() - flow->throttled_us + EARLY_US >= THROTTLED_US;
    if (flow->may_be_open || failures_in_a_row(flow) >= RUN_RECOVERS || !flow->has_succeeded ||
        was_throttled)
        flow->may_be_recovered_us = sim_mono_us();
    flow->has_succeeded = true;
    add_result(flow, false);
    if (!flow->unsettled && (flow->open || flow->run >= RUN_RECOVERS || flow->failed_before)) {
        flow->recovered_us = sim_mono_us();
        tally(TALLY_RECOVERIES);
        trace("%s has recovered", name_of(flow));
    }
    flow->failed_before = false;
    flow->open = flow->may_be_open = false;
    flow->run = 0;
    flow->edge_us = sim_mono_us();
}

void model_flow_ended(struct model_delivery *delivery, const struct model_end *how)
{
    const struct attempt_end *end = &how->end;
    struct flow *flow = flow_of(delivery->endpoint);
    flow->in_flight--;
    flow->class_in_flight[delivery->post->class]--;
    in_flight--;
    delivery->ended_number = delivery->sent_number;
    delivery->ended_us = model_run_us();
    delivery->ended_wall_us = sim_wall_us();
    delivery->ended_status = end->http_status;
    delivery->ended_early = delivery->was_waiting && delivery->wait.due_us > model_run_us();
    if (end->error == ERR_CANCELLED)
        return;
    if (end->http_status == 429) {
        flow->failed_us = flow->throttled_us = sim_mono_us();
        if (flow->may_be_open)
            on_success(flow); /* a client that limits us works */
    } else if (how->success != SUCCESS_YES &&
               (end->http_status == 0 || status_is_temporary(end->http_status) || end->error)) {
        on_failure(flow, delivery);
    } else if (delivery->was_replay) {
        on_success_of_replay(flow);
    } else {
        on_success(flow);
    }
}

/* Bounds of time. */

/* Whether something can be sent as a probe. What waits for another cause than the endpoint is
 * chosen only if the journal has nothing else; it does not know what is in flight. */
static bool has_something(uint64_t endpoint)
{
    bool has_other = false, is_hidden = false;
    for (unsigned i = 0; i < model_posts_count(); i++)
        for (unsigned j = 0; j < model_post(i)->deliveries_count; j++) {
            const struct model_delivery *delivery = &model_post(i)->deliveries[j];
            if (delivery->endpoint != endpoint || !exists(delivery) || delivery->broker_owned)
                continue;
            bool is_first = waits_for_endpoint(delivery) || delivery->state == DELIVERY_PENDING;
            if (is_first && !delivery->in_flight)
                return true;
            is_hidden |= is_first;
            has_other |= delivery->state == DELIVERY_WAITING && !delivery->in_flight;
        }
    return has_other && !is_hidden;
}

void model_flow_clients_are_back(void)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
        struct flow *flow = &flows[i];
        bool comes_back = clients_changed_us(i) == sim_mono_us() && clients_are_well(i);
        if (!comes_back || !flow->open || !has_something(fake_endpoints[i].id))
            continue;
        flow->back_us = sim_mono_us();
        flow->back_slowly = flow->in_flight >= PROBES_AT_ONCE;
        tally(TALLY_BACK);
    }
}

static void check_gone(const struct model_delivery *delivery, const struct flow *flow)
{
    char name[NAME_BYTES];
    model_name(delivery, name);
    bool is_left =
        waits_for_endpoint(delivery) && delivery->wait.began_us <= clock_of(flow->recovered_us);
    fail_unless(!is_left, "P7", "%s still waits %lld s after %s has recovered", name,
        (long long)((sim_mono_us() - flow->recovered_us) / US_PER_SECOND), name_of(flow));
}

static void check_fresh(const struct model_delivery *delivery, const struct flow *flow)
{
    int64_t now_us = sim_mono_us(), since_us = calm_us;
    if (delivery->state != DELIVERY_PENDING || delivery->generation > 0 || delivery->broker_owned ||
        delivery->sends > 0)
        return;
    int64_t well_us = clients_changed_us((unsigned)(flow - flows));
    since_us = well_us > since_us ? well_us : since_us;
    since_us = flow->failed_us > since_us ? flow->failed_us : since_us;
    since_us = flow->busy_us > since_us ? flow->busy_us : since_us;
    char name[NAME_BYTES];
    model_name(delivery, name);
    /* What was there before is a backlog. A client that has answered 429 is not asked for much, and
     * one with a rate of its own gets no more than that. */
    bool is_fresh = delivery->seen_us > since_us;
    if (fake_endpoints[flow - flows].policy.rate_max > 0 ||
        (flow->throttled_us != 0 && now_us - flow->throttled_us < GONE_US))
        return;
    since_us = is_fresh && delivery->seen_us > since_us ? delivery->seen_us : since_us;
    fail_unless(now_us - since_us <= (is_fresh ? FRESH_US : GONE_US), "P7",
        "%s is %s, and is not sent for %lld s although %s is well (in flight: %u, of all %u, at "
        "most "
        "%u)",
        name, is_fresh ? "fresh" : "pending", (long long)((now_us - since_us) / US_PER_SECOND),
        name_of(flow), flow->in_flight, in_flight, shard_in_flight_max);
}

/* An attempt that hangs since before the client was well takes a place of its endpoint. */
static bool has_long_in_flight(uint64_t endpoint)
{
    for (unsigned i = 0; i < model_posts_count(); i++)
        for (unsigned j = 0; j < model_post(i)->deliveries_count; j++) {
            const struct model_delivery *delivery = &model_post(i)->deliveries[j];
            if ((narrow || delivery->endpoint == endpoint) && delivery->in_flight &&
                delivery->sent_us + LONG_IN_FLIGHT_US < sim_mono_us())
                return true;
        }
    return false;
}

static void check_endpoint(struct flow *flow, uint64_t endpoint)
{
    int64_t now_us = sim_mono_us();
    bool hangs = has_long_in_flight(endpoint);
    /* It has one of the few slots of a narrow shard, and moves. */
    if (narrow && !hangs && flow->in_flight > 0)
        flow->busy_us = now_us;
    if (narrow && hangs && flow->back_us != 0)
        flow->back_us = now_us;
    fail_unless(flow->back_us == 0 || flow->back_slowly || now_us - flow->back_us <= MOVES_US, "P7",
        "%s is back since %lld s, but gets nothing", name_of(flow),
        (long long)((now_us - flow->back_us) / US_PER_SECOND));
    if (flow->may_be_open || hangs)
        flow->failed_us = now_us;
    if (!clients_are_well((unsigned)(flow - flows)) || flow->may_be_open || flow->unsettled)
        return;
    int64_t well_us = flow->recovered_us > flow->failed_us ? flow->recovered_us : flow->failed_us;
    well_us = calm_us > well_us ? calm_us : well_us;
    bool all_gone = flow->recovered_us != 0 && now_us - well_us > GONE_US;
    for (unsigned i = 0; i < model_posts_count(); i++)
        for (unsigned j = 0; j < model_post(i)->deliveries_count; j++) {
            const struct model_delivery *delivery = &model_post(i)->deliveries[j];
            if (delivery->endpoint != endpoint || !exists(delivery))
                continue;
            if (all_gone)
                check_gone(delivery, flow);
            check_fresh(delivery, flow);
        }
}

void model_flow_check(void)
{
    for (unsigned i = 0; calm && i < FAKE_ENDPOINTS; i++)
        check_endpoint(&flows[i], fake_endpoints[i].id);
}
