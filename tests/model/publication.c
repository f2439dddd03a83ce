/* SPDX-License-Identifier: Apache-2.0 */
#include "publication.h"

#include "fake_broker.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"
#include "world.h"

#include <assert.h>
#include <stdlib.h>

#define PUBLICATIONS_MAX 256

struct publication {
    struct model_post *post;
    struct event *event; /* never freed: messages point to it */
    struct model_post_parts model_parts;
    unsigned partition;
    unsigned landings_left;
    bool elsewhere, landed, answered;
    bool is_slow; /* its confirm does not arrive in time */
};

static struct publication publications[PUBLICATIONS_MAX];
static unsigned count;

void publication_begin(const struct event_parts *parts, const struct model_post_parts *model_parts,
    unsigned partition, bool elsewhere, unsigned times)
{
    struct event *event;
    enum err failed = event_new(parts, NULL, 100, &event);
    fail_unless(!failed && count < PUBLICATIONS_MAX, BROKEN_SIM, "too many publications");
    struct publication *publication = &publications[count++];
    *publication = (struct publication){
        .post = model_posted(model_parts),
        .event = event,
        .model_parts = *model_parts,
        .partition = partition,
        .landings_left = times,
        .elsewhere = elsewhere,
        .is_slow = sim_chance(STREAM_DRIVER, 250),
    };
    if (elsewhere) {
        publication->answered = true;
        model_confirmed(publication->post);
    }
}

unsigned publications_count(void)
{
    return count;
}

bool publication_holds(const struct model_post *post)
{
    for (unsigned i = 0; i < count; i++)
        if (publications[i].post == post && publications[i].elsewhere && !publications[i].landed)
            return true;
    return false;
}

static void forget(unsigned at)
{
    publications[at] = publications[--count];
}

static void land(struct publication *publication)
{
    if (!fake_broker_publish(
            publication->post, &publication->event->parts, publication->partition)) {
        if (sim_chance(STREAM_DRIVER,
                300)) /* returned: its publisher connects again and declares the queues */
            fake_broker_declare_queues();
        return;
    }
    trace("a message of it is in queue %u", publication->partition);
    if (publication->landed)
        tally(TALLY_PUBLISHED_AGAIN);
    publication->landed = true;
    publication->landings_left--;
}

static void confirm(struct publication *publication)
{
    publication->answered = true;
    model_confirmed(publication->post);
}

/* The confirm timed out: ingress appends the event to the journal. */
static void turn_to_journal(struct publication *publication)
{
    if (world_state() != WORLD_UP)
        return;
    publication->answered = true;
    tally(publication->landed ? TALLY_CONFIRMS_LATE : TALLY_CONFIRMS_NEVER);
    trace("the confirm times out");
    struct event_parts *parts = &publication->event->parts;
    if (!world_append(
            parts, publication->post, &publication->model_parts, parts->guarded ? 100 : 90))
        model_gave_up(publication->post);
}

void publication_step(void)
{
    unsigned at = sim_below(STREAM_DRIVER, count);
    struct publication *publication = &publications[at];
    bool up = fake_broker_is_up();
    /* A timeout is most interesting while the gateway has the message. */
    bool is_given = publication->landed && fake_broker_has_given(publication->post);
    if (publication->landings_left > 0 && up && sim_chance(STREAM_DRIVER, 600))
        land(publication);
    else if (!publication->answered && publication->landed && !publication->is_slow && up)
        confirm(publication);
    else if (!publication->answered && sim_chance(STREAM_DRIVER, up && !is_given ? 60 : 700))
        turn_to_journal(publication);
    else if (publication->answered && !publication->elsewhere &&
             sim_chance(STREAM_DRIVER, up ? 200 : 500))
        publication->landings_left = 0; /* the message is lost */
    if (publication->answered && publication->landings_left == 0)
        forget(at);
}

void publications_end(void)
{
    for (unsigned i = count; i > 0; i--) {
        struct publication *publication = &publications[i - 1];
        if (publication->elsewhere)
            continue;
        /* A message that was already sent may still reach its queue. */
        if (publication->landings_left > 0 && sim_chance(STREAM_DRIVER, 300))
            land(publication);
        if (!publication->answered)
            model_gave_up(publication->post);
        forget(i - 1);
    }
}
