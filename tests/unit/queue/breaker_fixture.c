/* SPDX-License-Identifier: Apache-2.0 */
#include "breaker_fixture.h"
#include "support/at_end.h"

struct publish_breaker *breaker;
struct broker_status *breaker_status;
struct broker_lag *breaker_lag;
bool breaker_nothing_waits;
struct publication publications[64];
enum publish_end publication_ends[64];
unsigned publications_count, publications_ended;

static const struct broker_options broker = {.partitions = QUEUE_PARTITIONS};
static struct broker_host host; /* the fake broker needs none */
static struct event_id_generator ids;

void breaker_make(unsigned number)
{
    const struct publish_breaker_options options = {.host = &host,
        .connector = fake_connector(),
        .broker = &broker,
        .reply_to = &queue_mailbox,
        .status = breaker_status,
        .number = number,
        .window = BREAKER_WINDOW,
        .confirm_timeout_us = CONFIRM_TIMEOUT_US,
        .lag = breaker_lag,
        .lag_us_max = LAG_US_MAX};
    cr_assert_eq(publish_breaker_new(&options, &breaker), OK);
}

void breaker_begin(void)
{
    queue_ground_begin(0);
    breaker_status = broker_status_new();
    breaker_nothing_waits = true;
    breaker_make(0);
}

void breaker_connect(void)
{
    fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, OK);
    mailbox_work(&queue_mailbox);
}

void breaker_begin_connected(void)
{
    breaker_begin();
    breaker_connect();
}

void breaker_begin_with_lag(void)
{
    breaker_lag = broker_lag_new(QUEUE_PARTITIONS, 2);
    breaker_begin_connected();
}

void breaker_end(void)
{
    publish_breaker_stop(breaker);
    if (fake_is_dialled(CONNECTOR_OPEN_PUBLISHER))
        fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, ERR_SHUTTING_DOWN);
    mailbox_work(&queue_mailbox);
    publish_breaker_free(breaker);
    broker_status_free(breaker_status);
    broker_lag_free(breaker_lag);
    assert_at_end(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN) == 0);
    assert_at_end(metrics_read(METRIC_PARTITIONS_BEHIND) == 0);
    queue_ground_end();
}

void breaker_pass(int64_t us)
{
    publish_breaker_tick(breaker, queue_move_clock(us), breaker_nothing_waits);
}

bool is_closed(unsigned partition)
{
    return publish_breaker_is_closed(breaker, partition);
}

struct event_parts parts_of(unsigned partition)
{
    static const unsigned char random[8];
    struct event_parts parts = {.accepted_us = 1700000000000000, .body = SLICE_LITERAL("{}")};
    event_id_make(&ids, parts.accepted_us, partition, random, &parts.id);
    return parts;
}

void on_publication_end(struct publication *publication, enum publish_end end)
{
    publication_ends[publication - publications] = end;
    publications_ended++;
}

enum err publish(unsigned partition)
{
    struct event_parts parts = parts_of(partition);
    cr_assert_lt(publications_count, ARRAY_LENGTH(publications));
    struct publication *publication = &publications[publications_count++];
    *publication = (struct publication){.on_end = on_publication_end, .id = parts.id};
    return publish_breaker_publish(breaker, publication, partition, &parts);
}

bool probe(unsigned partition)
{
    unsigned before = fake.published_count;
    struct event_parts parts = parts_of(partition);
    publish_breaker_probe(breaker, partition, &parts);
    return fake.published_count > before;
}

void end_probe(enum publish_end end)
{
    fake_end(fake.published_count - 1, end);
}

struct broker_link_status breaker_shown(void)
{
    struct broker_link_status shown;
    cr_assert(broker_status_get(breaker_status, BROKER_ROLE_PUBLISH, 0, &shown));
    return shown;
}
