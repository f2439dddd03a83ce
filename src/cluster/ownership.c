/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/ownership.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "runtime/log.h"
#include "runtime/small_file.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "delivery.json"
#define FILE_BYTES_MAX 4096

static enum err store(const struct ownership *ownership, struct buffer *complaints)
{
    char text[256];
    int len = snprintf(text, sizeof text,
        "{\n  \"journal\": \"%s\",\n  \"since_us\": %lld,\n  \"forced\": %s,\n  \"confirmed\": "
        "%s\n}\n",
        ownership->name.journal, (long long)ownership->since_us,
        ownership->forced ? "true" : "false", ownership->confirmed ? "true" : "false");
    enum err err = small_file_write(ownership->directory, FILE_NAME, slice_of(text, (size_t)len));
    if (err)
        buffer_add_format(complaints, "%s/" FILE_NAME " cannot be written: %s\n",
            ownership->directory, err_title(err));
    return err;
}

static void set_since(struct ownership *ownership, int64_t since_us)
{
    ownership->since_us = since_us;
    ownership->name.since_s = since_us / US_PER_SECOND;
}

static bool parse(struct ownership *ownership, struct slice text)
{
    const char *journal = NULL;
    json_int_t since_us = 0;
    int forced = 0, confirmed = 0;
    json_t *root = json_loadb(text.data, text.len, 0, NULL);
    unsigned char bytes[BROKER_JOURNAL_ID_BYTES / 2];
    bool good = root &&
                json_unpack(root, "{s:s, s:I, s:b, s:b}", "journal", &journal, "since_us",
                    &since_us, "forced", &forced, "confirmed", &confirmed) == 0 &&
                strlen(journal) == BROKER_JOURNAL_ID_BYTES - 1 &&
                hex_decode(slice_from_string(journal), bytes);
    if (good) {
        snprintf(ownership->name.journal, sizeof ownership->name.journal, "%s", journal);
        set_since(ownership, since_us);
        ownership->forced = forced;
        ownership->confirmed = confirmed;
    }
    json_decref(root);
    return good;
}

static void make_ownership(struct ownership *ownership)
{
    unsigned char id[BROKER_JOURNAL_ID_BYTES / 2];
    crypto_random(id, sizeof id);
    hex_encode(slice_of(id, sizeof id), ownership->name.journal);
    set_since(ownership, clock_wall_us());
}

enum err ownership_load(
    const char *directory, struct ownership *ret_owner, struct buffer *complaints)
{
    struct ownership ownership = {.directory = directory};
    struct buffer text = BUFFER_EMPTY;
    enum err err = small_file_read(directory, FILE_NAME, FILE_BYTES_MAX, &text);
    if (err == ERR_NOT_FOUND) {
        make_ownership(&ownership);
        err = store(&ownership, complaints);
    } else if (err) {
        buffer_add_format(
            complaints, "%s/" FILE_NAME " cannot be read: %s\n", directory, err_title(err));
    } else if (!parse(&ownership, buffer_slice(&text))) {
        buffer_add_format(complaints,
            "%s/" FILE_NAME " is damaged: restore it from a backup of this data directory\n",
            directory);
        err = ERR_DAMAGED;
    }
    buffer_done(&text);
    if (!err)
        *ret_owner = ownership;
    return err;
}

static void complain_of_owner(const struct ownership *ownership,
    const struct connector_request *request, struct buffer *complaints)
{
    char since[CLOCK_TEXT_BYTES];
    const struct broker_ownership *other = &request->ret_owner;
    if (*other->journal == '\0') {
        buffer_add_format(complaints,
            "another journal owns delivery, and the broker does not name it (%s).",
            request->ret_detail);
    } else {
        clock_format_rfc3339(other->since_s * US_PER_SECOND, since);
        buffer_add_format(complaints, "journal %s owns delivery%s%s; this one is %s.",
            other->journal, other->since_s ? " since " : "", other->since_s ? since : "",
            ownership->name.journal);
    }
    buffer_add_string(complaints, " If its gateway will never start again, start this one with "
                                  "\"penstock serve -c FILE --take-over\". This parks all payouts "
                                  "that were accepted before, since they may have been sent.\n");
}

/* An error that waiting does not remedy: delivery does not start with it. */
static bool is_permanent(enum err err)
{
    return err == ERR_CONFIG || err == ERR_PERMISSION || err == ERR_BUG;
}

/* One request, over a connector that is made for it. */
static enum err ask(const struct ownership *ownership, const struct broker_options *broker,
    struct connector_request *request)
{
    struct broker_connector *connector = NULL;
    enum err err = broker_connector_new(broker, &ownership->name, &connector);
    if (!err)
        err = broker_connector_call(connector, request);
    broker_connector_stop(connector);
    if (err && *request->ret_detail == '\0')
        snprintf(request->ret_detail, sizeof request->ret_detail, "%s", err_title(err));
    return err;
}

static enum err confirm(struct ownership *ownership, bool is_ours, struct buffer *complaints)
{
    if (ownership->confirmed == is_ours)
        return OK;
    ownership->confirmed = is_ours;
    return store(ownership, complaints);
}

static enum err complain_of_broker(
    const struct connector_request *request, enum err err, struct buffer *complaints)
{
    buffer_add_format(
        complaints, "the broker does not say who owns delivery: %s\n", request->ret_detail);
    if (is_permanent(err))
        return err;
    buffer_add_format(complaints,
        "The first start of a delivering gateway and a take-over need the broker; later starts do "
        "not. Start the broker, or correct %s.\n",
        err == ERR_TLS
            ? "broker.ca_file, broker.certificate_file, broker.key_file or broker.addresses"
            : "broker.addresses");
    return ERR_UNAVAILABLE;
}

static enum err take_over_from(struct ownership *ownership, const struct broker_options *broker,
    const char *other, struct buffer *complaints)
{
    set_since(ownership, clock_wall_us());
    ownership->forced = true;
    ownership->confirmed = false;
    enum err err = store(ownership, complaints);
    if (err)
        return err;
    struct connector_request request = {.base.kind = CONNECTOR_TAKE_OVER};
    err = ask(ownership, broker, &request);
    if (err)
        return complain_of_broker(&request, err, complaints);
    log_warn("delivery is taken over from journal %s: payouts that were accepted before are parked",
        *other ? other : "(unknown)");
    return confirm(ownership, true, complaints);
}

enum err ownership_acquire(struct ownership *ownership, const struct broker_options *broker,
    bool take_over, struct buffer *complaints)
{
    struct connector_request request = {.base.kind = CONNECTOR_CHECK_OWNERSHIP};
    enum err err = ask(ownership, broker, &request);
    if (err == OK)
        return confirm(ownership, true, complaints);
    if (err == ERR_NOT_OWNER && take_over)
        return take_over_from(ownership, broker, request.ret_owner.journal, complaints);
    if (err == ERR_NOT_OWNER) {
        complain_of_owner(ownership, &request, complaints);
        /* The next start must not continue without the broker. */
        err = confirm(ownership, false, complaints);
        return err ? err : ERR_NOT_OWNER;
    }
    if (!ownership->confirmed || is_permanent(err))
        return complain_of_broker(&request, err, complaints);
    log_warn(
        "the broker does not say who owns delivery; this journal was the owner and continues: %s",
        request.ret_detail);
    return OK;
}

int64_t ownership_forced_since_us(const struct ownership *ownership)
{
    return ownership->forced ? ownership->since_us : 0;
}
