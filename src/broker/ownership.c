/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/ownership.h"

#include "base/clock.h"
#include "broker/login.h"
#include "broker/reply.h"

#include <inttypes.h>
#include <stdio.h>

#define ID_DIGITS (BROKER_JOURNAL_ID_BYTES - 1)
#define SINCE_DIGITS_MAX 12 /* as microseconds it fits an int64_t */

static const char name_prefix[] = "penstock.";
static const char current_is[] = "but current is 'penstock.";

void broker_ownership_name(
    const struct broker_ownership *ownership, char ret_name[BROKER_OWNERSHIP_NAME_BYTES])
{
    snprintf(ret_name, BROKER_OWNERSHIP_NAME_BYTES, "%s%.*s.%" PRId64, name_prefix, ID_DIGITS,
        ownership->journal, ownership->since_s);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* Reads "<seconds>'". Returns 0 for other text. */
static int64_t parse_since(const char *at, const char *end)
{
    int64_t since_s = 0;
    for (int digits = 0; at < end && is_digit(*at) && digits < SINCE_DIGITS_MAX; at++, digits++)
        since_s = since_s * 10 + (*at - '0');
    return at < end && *at == '\'' ? since_s : 0;
}

bool broker_ownership_parse(struct slice refusal, struct broker_ownership *ret_ownership)
{
    const size_t prefix_len = sizeof current_is - 1;
    const char *at = refusal.len ? memmem(refusal.data, refusal.len, current_is, prefix_len) : NULL;
    if (!at)
        return false;
    at += prefix_len;
    const char *end = refusal.data + refusal.len;
    if (end - at <= ID_DIGITS || at[ID_DIGITS] != '.')
        return false;
    for (int i = 0; i < ID_DIGITS; i++)
        if (!is_hex_digit(at[i]))
            return false;
    *ret_ownership = (struct broker_ownership){.since_s = parse_since(at + ID_DIGITS + 1, end)};
    memcpy(ret_ownership->journal, at, ID_DIGITS);
    return true;
}

static amqp_rpc_reply_t declare(
    struct broker_link *link, amqp_channel_t channel, const struct broker_ownership *ours)
{
    char name[BROKER_OWNERSHIP_NAME_BYTES];
    broker_ownership_name(ours, name);
    amqp_table_entry_t owner = {.key = amqp_cstring_bytes("alternate-exchange"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(name)}};
    amqp_exchange_declare(link->connection, channel, amqp_cstring_bytes(BROKER_OWNER_EXCHANGE),
        amqp_cstring_bytes("fanout"), 0, 1, 0, 1,
        (amqp_table_t){.num_entries = 1, .entries = &owner});
    return amqp_get_rpc_reply(link->connection);
}

/* If the text of a mismatch names no journal or was cut, the broker's text is more useful to an
 * operator. */
static void say_who_owns(const struct broker_ownership *owner, struct slice refusal,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    char since[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(owner->since_s * US_PER_SECOND, since);
    if (!owner->journal[0])
        snprintf(ret_detail, BROKER_DETAIL_BYTES,
            "the owner of delivery cannot be read: %.*s; "
            "`rabbitmqctl list_exchanges -p <vhost> name arguments` shows it",
            SLICE_ARGS(refusal));
    else if (owner->since_s == 0)
        snprintf(ret_detail, BROKER_DETAIL_BYTES, "the journal %s owns delivery", owner->journal);
    else
        snprintf(ret_detail, BROKER_DETAIL_BYTES, "the journal %s owns delivery since %s",
            owner->journal, since);
}

/* A refusal closes the channel. */
static enum err reopen(
    struct broker_link *link, amqp_channel_t channel, char ret_detail[BROKER_DETAIL_BYTES])
{
    int status = amqp_send_method(
        link->connection, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
    if (status != AMQP_STATUS_OK)
        return broker_err_from_status(status);
    amqp_maybe_release_buffers(link->connection);
    return broker_open_channel(link, channel, ret_detail);
}

enum err broker_ownership_check(struct broker_link *link, amqp_channel_t channel,
    const struct broker_ownership *ours, struct broker_ownership *ret_owner,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    amqp_rpc_reply_t reply = declare(link, channel, ours);
    uint16_t code;
    struct slice refusal;
    if (!broker_reply_refusal(&reply, &code, &refusal) || code != BROKER_CODE_PRECONDITION_FAILED) {
        enum err failed = broker_reply_judge(&reply, "exchange " BROKER_OWNER_EXCHANGE, ret_detail);
        if (!failed)
            *ret_owner = *ours;
        return failed;
    }
    struct broker_ownership owner = {.since_s = 0};
    broker_ownership_parse(refusal, &owner);
    *ret_owner = owner;
    if (strcmp(owner.journal, ours->journal) == 0)
        return reopen(link, channel, ret_detail);
    say_who_owns(&owner, refusal, ret_detail);
    return ERR_NOT_OWNER;
}

enum err broker_ownership_take_over(struct broker_link *link, amqp_channel_t channel,
    const struct broker_ownership *ours, struct broker_ownership *ret_owner,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    enum err failed = broker_ownership_check(link, channel, ours, ret_owner, ret_detail);
    if (failed != ERR_NOT_OWNER)
        return failed;
    failed = reopen(link, channel, ret_detail);
    if (failed)
        return failed;
    amqp_exchange_delete(link->connection, channel, amqp_cstring_bytes(BROKER_OWNER_EXCHANGE), 0);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->connection);
    failed = broker_reply_judge(&reply, "deleting exchange " BROKER_OWNER_EXCHANGE, ret_detail);
    if (failed)
        return failed;
    return broker_ownership_check(link, channel, ours, ret_owner, ret_detail);
}
