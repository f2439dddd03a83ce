/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership against a data directory and a connector of the test (--wrap, CMakeLists.txt). */
#include "cluster/ownership.h"

#include "base/clock.h"
#include "runtime/log.h"
#include "runtime/small_file.h"
#include "support/at_end.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OURS "00112233445566778899aabbccddeeff"
#define THEIRS "ffeeddccbbaa99887766554433221100"

static char directory[64];
static struct buffer complaints;
static struct ownership ownership;

/* The broker: what it answers to a check and to a take-over, and what it was asked. */
static struct {
    enum err check, take_over;
    const char *owner; /* in a refusal; NULL: it does not name it */
    int64_t owner_since_s;
    const char *detail;
    unsigned checks, take_overs, opened;
    struct broker_ownership asked;
} broker;

enum err __wrap_broker_connector_new(const struct broker_options *options,
    const struct broker_ownership *name, struct broker_connector **ret_connector)
{
    broker.asked = *name;
    broker.opened++;
    *ret_connector = NULL;
    return OK;
}

enum err __wrap_broker_connector_call(
    struct broker_connector *connector, struct connector_request *request)
{
    bool is_check = request->base.kind == CONNECTOR_CHECK_OWNERSHIP;
    cr_assert(is_check || request->base.kind == CONNECTOR_TAKE_OVER);
    broker.checks += is_check;
    broker.take_overs += !is_check;
    if (broker.owner)
        snprintf(request->ret_owner.journal, sizeof request->ret_owner.journal, "%s", broker.owner);
    request->ret_owner.since_s = broker.owner_since_s;
    if (broker.detail)
        snprintf(request->ret_detail, sizeof request->ret_detail, "%s", broker.detail);
    return is_check ? broker.check : broker.take_over;
}

void __wrap_broker_connector_stop(struct broker_connector *connector)
{
    broker.opened--;
}

static void set_up(void)
{
    snprintf(directory, sizeof directory, "/tmp/penstock-ownership-XXXXXX");
    cr_assert(mkdtemp(directory));
}

static void tear_down(void)
{
    assert_at_end(broker.opened == 0);
    buffer_done(&complaints);
    small_file_remove(directory, "delivery.json");
    rmdir(directory);
}

TestSuite(ownership, .init = set_up, .fini = tear_down);

static void write_file(const char *text)
{
    cr_assert_eq(small_file_write(directory, "delivery.json", slice_from_string(text)), OK);
}

static void write_ours(const char *forced, const char *confirmed)
{
    char text[256];
    snprintf(text, sizeof text,
        "{\"journal\":\"" OURS "\",\"since_us\":1700000000500000,\"forced\":%s,\"confirmed\":%s}",
        forced, confirmed);
    write_file(text);
}

static void load(void)
{
    ownership = (struct ownership){0};
    cr_assert_eq(ownership_load(directory, &ownership, &complaints), OK, "%s", complaints.data);
}

static enum err acquire(bool take_over)
{
    static const struct broker_options options;
    buffer_clear(&complaints);
    return ownership_acquire(&ownership, &options, take_over, &complaints);
}

static bool complains_of(const char *text)
{
    return complaints.data && strstr(complaints.data, text);
}

Test(ownership, the_file_is_made_once_and_read_again)
{
    int64_t before_us = clock_wall_us();
    load();
    struct ownership made = ownership;
    cr_expect_eq(strspn(made.name.journal, "0123456789abcdef"), 32);
    cr_expect(made.since_us >= before_us && made.since_us <= clock_wall_us());
    cr_expect_eq(made.name.since_s, made.since_us / US_PER_SECOND);
    cr_expect(!made.forced && !made.confirmed);
    load();
    cr_expect_str_eq(ownership.name.journal, made.name.journal);
    cr_expect_eq(ownership.since_us, made.since_us);
    small_file_remove(directory, "delivery.json");
    load();
    cr_expect_str_neq(ownership.name.journal, made.name.journal, "another file is another journal");
}

Test(ownership, the_file_is_read)
{
    write_ours("true", "true");
    load();
    cr_expect_str_eq(ownership.name.journal, OURS);
    cr_expect_eq(ownership.name.since_s, 1700000000);
    cr_expect(ownership.forced && ownership.confirmed);
    cr_expect_eq(ownership_forced_since_us(&ownership), 1700000000500000);
    write_ours("false", "false");
    load();
    cr_expect(!ownership.forced && !ownership.confirmed);
    cr_expect_eq(ownership_forced_since_us(&ownership), 0);
}

Test(ownership, a_damaged_file_is_refused_and_left_as_it_is)
{
    static const char *const texts[] = {"", "{", "[]", "null",
        "{\"since_us\":1,\"forced\":false,\"confirmed\":false}",
        "{\"journal\":\"" OURS "\",\"forced\":false,\"confirmed\":false}",
        "{\"journal\":\"" OURS "\",\"since_us\":1,\"confirmed\":false}",
        "{\"journal\":\"" OURS "\",\"since_us\":1,\"forced\":false}",
        "{\"journal\":7,\"since_us\":1,\"forced\":false,\"confirmed\":false}",
        "{\"journal\":\"" OURS "\",\"since_us\":\"1\",\"forced\":false,\"confirmed\":false}",
        "{\"journal\":\"" OURS
        "\",\"since_us\":99999999999999999999,\"forced\":false,\"confirmed\":false}",
        "{\"journal\":\"" OURS "\",\"since_us\":1,\"forced\":0,\"confirmed\":false}",
        "{\"journal\":\"" OURS "\",\"since_us\":1,\"forced\":false,\"confirmed\":\"no\"}",
        "{\"journal\":\"0011\",\"since_us\":1,\"forced\":false,\"confirmed\":false}",
        "{\"journal\":\"" OURS "00\",\"since_us\":1,\"forced\":false,\"confirmed\":false}",
        "{\"journal\":\"xx112233445566778899aabbccddeeff\",\"since_us\":1,\"forced\":false,"
        "\"confirmed\":false}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buffer content = BUFFER_EMPTY;
        struct ownership untouched = {.since_us = 77};
        buffer_clear(&complaints);
        write_file(texts[i]);
        cr_expect_eq(
            ownership_load(directory, &untouched, &complaints), ERR_DAMAGED, "%s", texts[i]);
        cr_expect_eq(untouched.since_us, 77, "%s", texts[i]);
        cr_expect(complains_of("delivery.json is damaged: restore it"), "%s", texts[i]);
        cr_assert_eq(small_file_read(directory, "delivery.json", 4096, &content), OK);
        cr_expect(slice_equals_string(buffer_slice(&content), texts[i]));
        buffer_done(&content);
    }
}

Test(ownership, a_file_that_is_too_large_or_out_of_reach_is_an_error)
{
    char text[5000];
    memset(text, ' ', sizeof text);
    cr_assert_eq(small_file_write(directory, "delivery.json", slice_of(text, sizeof text)), OK);
    cr_expect_eq(ownership_load(directory, &ownership, &complaints), ERR_TOO_LARGE);
    cr_expect(complains_of("delivery.json cannot be read"), "%s", complaints.data);
    buffer_clear(&complaints);
    cr_expect_eq(ownership_load("/does/not/exist", &ownership, &complaints), ERR_SYSTEM);
    cr_expect(
        complains_of("/does/not/exist/delivery.json cannot be written"), "%s", complaints.data);
}

Test(ownership, the_owner_is_confirmed_and_that_is_stored)
{
    write_ours("false", "false");
    load();
    cr_expect_eq(acquire(false), OK);
    cr_expect_str_eq(broker.asked.journal, OURS);
    cr_expect_eq(broker.asked.since_s, 1700000000);
    cr_expect(broker.checks == 1 && broker.take_overs == 0);
    load();
    cr_expect(ownership.confirmed && !ownership.forced);
}

Test(ownership, another_owner_is_named_and_the_next_start_needs_the_broker)
{
    write_ours("false", "true");
    load();
    broker.check = ERR_NOT_OWNER;
    broker.owner = THEIRS;
    broker.owner_since_s = 1700000001;
    cr_expect_eq(acquire(false), ERR_NOT_OWNER);
    cr_expect(complains_of("journal " THEIRS " owns delivery since 2023-11-14T22:13:21"), "%s",
        complaints.data);
    cr_expect(
        complains_of("this one is " OURS) && complains_of("penstock serve -c FILE --take-over"),
        "%s", complaints.data);
    load();
    cr_expect(!ownership.confirmed);
    broker.check = ERR_CONNECT;
    cr_expect_eq(acquire(false), ERR_UNAVAILABLE, "the broker is needed now");
}

Test(ownership, an_owner_that_the_broker_does_not_name_is_refused_as_well)
{
    write_ours("false", "true");
    load();
    broker.check = ERR_NOT_OWNER;
    broker.detail = "the refusal is cut off";
    cr_expect_eq(acquire(false), ERR_NOT_OWNER);
    cr_expect(complains_of("does not name it (the refusal is cut off)"), "%s", complaints.data);
}

Test(ownership, a_forced_take_over_is_stored_with_its_time)
{
    write_ours("false", "false");
    load();
    int64_t before_us = clock_wall_us();
    broker.check = ERR_NOT_OWNER;
    broker.owner = THEIRS;
    cr_assert_eq(log_start(), OK);
    cr_expect_eq(acquire(true), OK, "%s", complaints.data);
    log_stop();
    cr_expect(broker.checks == 1 && broker.take_overs == 1);
    cr_expect(ownership_forced_since_us(&ownership) >= before_us);
    cr_expect_eq(
        broker.asked.since_s, ownership.since_us / US_PER_SECOND, "the broker gets the new time");
    struct ownership taken = ownership;
    load();
    cr_expect(ownership.forced && ownership.confirmed);
    cr_expect_eq(ownership.since_us, taken.since_us);
    cr_expect_str_eq(ownership.name.journal, OURS, "the journal stays the same");
}

Test(ownership, a_take_over_that_is_interrupted_is_known_at_the_next_start)
{
    write_ours("false", "true");
    load();
    broker.check = ERR_NOT_OWNER;
    broker.owner = THEIRS;
    broker.take_over = ERR_CONNECT;
    broker.detail = "rabbit:5672: refused";
    cr_expect_eq(acquire(true), ERR_UNAVAILABLE);
    cr_expect(complains_of("rabbit:5672: refused") && complains_of("broker.addresses"), "%s",
        complaints.data);
    load();
    cr_expect(
        ownership.forced && !ownership.confirmed, "payouts of before are parked in either case");
}

Test(ownership, a_take_over_without_another_owner_changes_nothing)
{
    write_ours("false", "true");
    load();
    cr_expect_eq(acquire(true), OK);
    cr_expect_eq(broker.take_overs, 0);
    load();
    cr_expect(!ownership.forced && ownership.since_us == 1700000000500000);
    broker.check = ERR_CONNECT;
    cr_assert_eq(log_start(), OK);
    cr_expect_eq(acquire(true), OK, "the broker does not answer, and its last answer was yes");
    log_stop();
    cr_expect_eq(broker.take_overs, 0);
}

Test(ownership, without_the_broker_only_a_confirmed_owner_continues)
{
    static const struct {
        enum err answer;
        enum err confirmed, unconfirmed; /* what ownership_acquire returns */
        const char *remedy;
    } cases[] = {
        {ERR_CONNECT, OK, ERR_UNAVAILABLE, "broker.addresses"},
        {ERR_CONNECT_TIMEOUT, OK, ERR_UNAVAILABLE, "broker.addresses"},
        {ERR_UNAVAILABLE, OK, ERR_UNAVAILABLE, "broker.addresses"},
        {ERR_TLS, OK, ERR_UNAVAILABLE, "broker.ca_file"},
        {ERR_PERMISSION, ERR_PERMISSION, ERR_PERMISSION, "does not say who owns delivery"},
        {ERR_CONFIG, ERR_CONFIG, ERR_CONFIG, "does not say who owns delivery"},
    };
    cr_assert_eq(log_start(), OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        broker.check = cases[i].answer;
        write_ours("false", "true");
        load();
        cr_expect_eq(acquire(false), cases[i].confirmed, "%s", err_name(cases[i].answer));
        write_ours("false", "false");
        load();
        cr_expect_eq(acquire(false), cases[i].unconfirmed, "%s", err_name(cases[i].answer));
        cr_expect(
            complains_of(cases[i].remedy), "%s: %s", err_name(cases[i].answer), complaints.data);
    }
    log_stop();
}
