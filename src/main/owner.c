/* SPDX-License-Identifier: Apache-2.0 */
#include "main/owner.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "main/installation.h"
#include "runtime/log.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "delivery.json"
#define FILE_BYTES_MAX 4096

static enum err store(const struct owner *owner, struct buffer *complaints)
{
    char text[256];
    int len = snprintf(text, sizeof text,
        "{\n  \"journal\": \"%s\",\n  \"since_us\": %lld,\n  \"forced\": %s,\n  \"confirmed\": %s\n}\n",
        owner->claim.journal, (long long)owner->since_us, owner->forced ? "true" : "false",
        owner->confirmed ? "true" : "false");
    enum err error = installation_write(owner->directory, FILE_NAME, slice_of(text, (size_t)len));
    if (error)
        buffer_add_format(complaints, "%s/" FILE_NAME ": %s\n", owner->directory, err_title(error));
    return error;
}

static void set_since(struct owner *owner, int64_t since_us)
{
    owner->since_us = since_us;
    owner->claim.since_s = since_us / US_PER_SECOND;
}

static bool parse(struct owner *owner, struct slice text)
{
    const char *journal = NULL;
    json_int_t since_us = 0;
    int forced = 0, confirmed = 0;
    json_t *root = json_loadb(text.data, text.len, 0, NULL);
    unsigned char bytes[BROKER_JOURNAL_ID_BYTES / 2];
    bool good = root &&
                json_unpack(root, "{s:s, s:I, s:b, s:b}", "journal", &journal, "since_us", &since_us, "forced", &forced,
                    "confirmed", &confirmed) == 0 &&
                strlen(journal) == BROKER_JOURNAL_ID_BYTES - 1 && hex_decode(slice_from_string(journal), bytes);
    if (good) {
        snprintf(owner->claim.journal, sizeof owner->claim.journal, "%s", journal);
        set_since(owner, since_us);
        owner->forced = forced;
        owner->confirmed = confirmed;
    }
    json_decref(root);
    return good;
}

static void make_claim(struct owner *owner)
{
    unsigned char id[BROKER_JOURNAL_ID_BYTES / 2];
    crypto_random(id, sizeof id);
    hex_encode(slice_of(id, sizeof id), owner->claim.journal);
    set_since(owner, clock_wall_us());
}

enum err owner_load(const char *directory, struct owner *ret_owner, struct buffer *complaints)
{
    struct owner owner = {.directory = directory};
    struct buffer text = BUFFER_EMPTY;
    enum err error = installation_read(directory, FILE_NAME, FILE_BYTES_MAX, &text);
    if (error == ERR_NOT_FOUND) {
        make_claim(&owner);
        error = store(&owner, complaints);
    } else if (error) {
        buffer_add_format(complaints, "%s/" FILE_NAME ": %s\n", directory, err_title(error));
    } else if (!parse(&owner, buffer_slice(&text))) {
        buffer_add_format(
            complaints, "%s/" FILE_NAME ": is damaged; restore it from a backup of this data directory\n", directory);
        error = ERR_DAMAGED;
    }
    buffer_done(&text);
    if (!error)
        *ret_owner = owner;
    return error;
}

static void complain_of_owner(
    const struct owner *owner, const struct connector_request *request, struct buffer *complaints)
{
    char since[CLOCK_TEXT_BYTES];
    const struct broker_claim *other = &request->ret_owner;
    if (*other->journal == '\0') {
        buffer_add_format(
            complaints, "another journal owns delivery, and the broker does not say which (%s).", request->ret_detail);
    } else {
        clock_format_rfc3339(other->since_s * US_PER_SECOND, since);
        buffer_add_format(complaints, "journal %s owns delivery%s%s; this one is %s.", other->journal,
            other->since_s ? " since " : "", other->since_s ? since : "", owner->claim.journal);
    }
    buffer_add_string(complaints,
        " If that one is gone for good: penstock serve -c FILE --take-over (parks every payout that was accepted "
        "before, since it may have been sent)\n");
}

/* What another configuration, and no waiting, would mend: delivery does not start on it. */
static bool is_refusal(enum err error)
{
    return error == ERR_CONFIG || error == ERR_PERMISSION || error == ERR_NO_MEMORY || error == ERR_BUG;
}

/* One question over a connector that lives as long as it takes. */
static enum err ask(const struct owner *owner, const struct broker_options *broker, struct connector_request *request)
{
    struct broker_connector *connector = NULL;
    enum err error = broker_connector_new(broker, &owner->claim, &connector);
    if (!error)
        error = broker_connector_call(connector, request);
    broker_connector_stop(connector);
    if (error && *request->ret_detail == '\0')
        snprintf(request->ret_detail, sizeof request->ret_detail, "%s", err_title(error));
    return error;
}

static enum err confirm(struct owner *owner, bool is_ours, struct buffer *complaints)
{
    if (owner->confirmed == is_ours)
        return OK;
    owner->confirmed = is_ours;
    return store(owner, complaints);
}

static enum err complain_of_broker(const struct connector_request *request, enum err error, struct buffer *complaints)
{
    buffer_add_format(complaints, "the broker can't be asked who owns delivery: %s\n", request->ret_detail);
    if (is_refusal(error))
        return error;
    buffer_add_format(complaints,
        "The first start of a delivering gateway, and a take-over, need the broker; later starts go on without it. "
        "Start it, or correct %s.\n",
        error == ERR_TLS ? "broker.ca_file, broker.certificate_file, broker.key_file or broker.addresses"
                         : "broker.addresses");
    return ERR_UNAVAILABLE;
}

static enum err take_over_from(
    struct owner *owner, const struct broker_options *broker, const char *other, struct buffer *complaints)
{
    set_since(owner, clock_wall_us());
    owner->forced = true;
    owner->confirmed = false;
    enum err error = store(owner, complaints);
    if (error)
        return error;
    struct connector_request request = {.task = CONNECTOR_TAKE_OVER};
    error = ask(owner, broker, &request);
    if (error)
        return complain_of_broker(&request, error, complaints);
    log_warn("delivery was taken over from journal %s: payouts that were accepted before are parked", other);
    return confirm(owner, true, complaints);
}

enum err owner_claim(
    struct owner *owner, const struct broker_options *broker, bool take_over, struct buffer *complaints)
{
    struct connector_request request = {.task = CONNECTOR_CHECK_CLAIM};
    enum err error = ask(owner, broker, &request);
    if (error == OK)
        return confirm(owner, true, complaints);
    if (error == ERR_NOT_OWNER && take_over)
        return take_over_from(owner, broker, request.ret_owner.journal, complaints);
    if (error == ERR_NOT_OWNER) {
        complain_of_owner(owner, &request, complaints);
        error = confirm(owner, false, complaints); /* the next start is not to go on without asking */
        return error ? error : ERR_NOT_OWNER;
    }
    if (!owner->confirmed || is_refusal(error))
        return complain_of_broker(&request, error, complaints);
    log_warn(
        "the broker can't be asked who owns delivery; going on, since it was this journal: %s", request.ret_detail);
    return OK;
}

int64_t owner_forced_since_us(const struct owner *owner)
{
    return owner->forced ? owner->since_us : 0;
}
