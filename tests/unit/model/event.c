/* SPDX-License-Identifier: Apache-2.0 */
#include "model/event.h"

#include <criterion/criterion.h>
#include <pthread.h>

static char texts[] = "partner1|account1|payout|key-1|12.50|EUR|00-trace|{\"some\":\"body\"}";

/* Slices of `texts`, split at the bars. */
static struct event_parts some_parts(void)
{
    struct event_parts parts = {.id = {{1, 2, 3}},
        .accepted_us = 77,
        .has_occurred_at = true,
        .occurred_us = 66,
        .class = CLASS_OPTIONAL,
        .guarded = true};
    struct slice *const slices[] = {&parts.partner, &parts.account, &parts.type, &parts.key,
        &parts.amount, &parts.currency, &parts.traceparent, &parts.body};
    const char *at = texts;
    for (int i = 0; i < 8; i++) {
        size_t len = strcspn(at, "|");
        *slices[i] = slice_of(at, len);
        at += len + 1;
    }
    return parts;
}

Test(event, keeps_copies_of_all_its_parts)
{
    struct event_parts parts = some_parts();
    struct event *event = NULL;
    cr_assert_eq(event_new(&parts, NULL, 100, &event), OK);
    char kept[sizeof texts];
    memcpy(kept, texts, sizeof texts);
    memset(texts, '#', sizeof texts - 1);
    cr_expect(slice_equals_string(event->parts.partner, "partner1"));
    cr_expect(slice_equals_string(event->parts.account, "account1"));
    cr_expect(slice_equals_string(event->parts.type, "payout"));
    cr_expect(slice_equals_string(event->parts.key, "key-1"));
    cr_expect(slice_equals_string(event->parts.amount, "12.50"));
    cr_expect(slice_equals_string(event->parts.currency, "EUR"));
    cr_expect(slice_equals_string(event->parts.traceparent, "00-trace"));
    cr_expect(slice_equals_string(event->parts.body, "{\"some\":\"body\"}"));
    cr_expect_eq(event->parts.accepted_us, 77);
    cr_expect(event->parts.has_occurred_at);
    cr_expect_eq(event->parts.occurred_us, 66);
    cr_expect_eq(memcmp(&event->parts.id, &parts.id, sizeof parts.id), 0);
    cr_expect_eq(event->parts.class, CLASS_OPTIONAL);
    cr_expect(event->parts.guarded);
    memcpy(texts, kept, sizeof texts);
    event_unref(event);
}

Test(event, every_text_may_be_empty)
{
    struct event_parts parts = {.accepted_us = 1};
    struct event *event = NULL;
    cr_assert_eq(event_new(&parts, NULL, 100, &event), OK);
    cr_assert_eq(event->parts.body.len, 0);
    cr_assert_eq(event->parts.key.len, 0);
    event_unref(event);
    event_unref(NULL);
}

Test(event, budget_is_given_back_with_the_last_reference_only)
{
    struct event_parts parts = some_parts();
    struct byte_budget budget = {.bytes_max = 100000};
    struct event *event = NULL;
    cr_assert_eq(event_new(&parts, &budget, 100, &event), OK);
    int64_t held = budget.taken_bytes;
    cr_assert_eq(held, event->bytes);
    cr_assert_geq(held, (int64_t)(sizeof *event + parts.body.len));
    cr_assert_eq(event_ref(event), event);
    event_unref(event);
    cr_assert_eq(budget.taken_bytes, held);
    event_unref(event);
    cr_assert_eq(budget.taken_bytes, 0);
}

Test(event, is_rejected_without_side_effects_when_the_budget_is_used_up)
{
    struct event_parts parts = some_parts();
    struct byte_budget budget = {.bytes_max = 1000};
    struct event *first = NULL, *second = NULL;
    cr_assert_eq(event_new(&parts, &budget, 100, &first), OK);
    int64_t held = budget.taken_bytes;
    cr_assert_gt(2 * held, budget.bytes_max / 100 * 50, "or the test tests nothing");
    cr_assert_eq(event_new(&parts, &budget, 50, &second), ERR_OVERLOADED);
    cr_assert_null(second);
    cr_assert_eq(budget.taken_bytes, held);
    event_unref(first);
    cr_assert_eq(event_new(&parts, &budget, 50, &second), OK);
    event_unref(second);
    cr_assert_eq(budget.taken_bytes, 0);
}

static void *hold_and_let_go(void *argument)
{
    struct event *event = argument; /* this thread owns one reference */
    for (int i = 0; i < 100000; i++) {
        event_ref(event);
        event_unref(event);
    }
    event_unref(event);
    return NULL;
}

Test(event, counts_references_from_many_threads)
{
    struct event_parts parts = some_parts();
    struct byte_budget budget = {.bytes_max = 100000};
    struct event *event = NULL;
    cr_assert_eq(event_new(&parts, &budget, 100, &event), OK);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hold_and_let_go, event_ref(event)), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&event->references), 1);
    event_unref(event);
    cr_assert_eq(budget.taken_bytes, 0);
}
