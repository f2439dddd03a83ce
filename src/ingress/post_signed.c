/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /v1/partners/{partner}/events. The partner is in the path, and the request is signed with
 * Standard Webhooks headers instead of a key. The rest is as for POST /v1/events.
 *
 * The answer does not show whether a partner exists. An unknown or disabled partner, one without
 * secrets, and a wrong signature get the same answer after the same work. Only the time shows
 * whether a partner has several secrets.
 *
 * The partner's networks and certificates are checked after the signature, so that they show
 * nothing to others. Scopes are of keys, and do not apply.
 *
 * The MAC is keyed for each request. That costs 0.7 us (measured) of several us per event. A cache
 * would have to follow every rotation of secrets.
 */
#include "base/clock.h"
#include "ingress/ingress_internal.h"
#include "model/name.h"

struct signed_request {
    struct slice id, timestamp, body;
    struct signature_list signatures;
};

/* Returns 1 if a signature was made with the secret, 0 if not, -1 without memory. */
static int secret_fits(const struct secret *secret, const struct signed_request *request)
{
    struct hmac *hmac;
    unsigned char mac[SHA256_BYTES];
    if (hmac_new(slice_of(secret->bytes, secret->len), &hmac))
        return -1;
    signature_mac(hmac, request->id, request->timestamp, request->body, mac);
    hmac_free(hmac);
    return signature_list_has(&request->signatures, mac);
}

static enum err check_secrets(const struct partner *partner, const struct signed_request *request,
    struct refusal *ret_refusal)
{
    static const struct partner nobody = {
        .secrets_count = 1, .secrets = {{.secret.len = ENDPOINT_SECRET_BYTES}}};
    bool may_sign = partner && partner->enabled && partner->secrets_count > 0;
    const struct partner *checked = may_sign ? partner : &nobody;
    bool found = false;
    for (unsigned i = 0; i < checked->secrets_count; i++) {
        int fits = secret_fits(&checked->secrets[i].secret, request);
        if (fits < 0)
            return refuse(ret_refusal, ERR_NO_MEMORY, "Send the event again later.");
        found |= fits;
    }
    return may_sign && found
               ? OK
               : refuse(ret_refusal, ERR_UNAUTHENTICATED,
                     "The signature is wrong. Check the partner in the URL, the secret and "
                     "the signed bytes.");
}

static enum err check_signature(struct ingress *ingress, const struct http_exchange *exchange,
    const struct partner **ret_partner, struct refusal *ret_refusal)
{
    struct signed_request request = {.id = http_header(exchange, "webhook-id"),
        .timestamp = http_header(exchange, "webhook-timestamp"),
        .body = http_body(exchange)};
    struct slice signatures = http_header(exchange, "webhook-signature");
    if (!request.id.len || !request.timestamp.len || !signatures.len)
        return refuse(ret_refusal, ERR_UNAUTHENTICATED,
            "Sign the request as Standard Webhooks describes: send webhook-id, webhook-timestamp "
            "and webhook-signature.");
    if (http_header(exchange, "idempotency-key").data)
        return refuse(ret_refusal, ERR_INVALID,
            "The signature does not cover the Idempotency-Key header. Remove this header, and put "
            "the key in `id`.");
    if (!name_is_valid_key(request.id))
        return refuse(ret_refusal, ERR_UNAUTHENTICATED, "The webhook-id header " KEY_RULE ".");
    int64_t timestamp_s, now_s = clock_wall_us() / US_PER_SECOND;
    if (!signature_parse_timestamp(request.timestamp, &timestamp_s))
        return refuse(ret_refusal, ERR_UNAUTHENTICATED,
            "The webhook-timestamp header must be in Unix seconds.");
    if (timestamp_s < now_s - WEBHOOK_AGE_S_MAX || timestamp_s > now_s + WEBHOOK_AGE_S_MAX)
        return refuse(ret_refusal, ERR_UNAUTHENTICATED,
            "The webhook-timestamp is more than %d s away from the clock of the gateway. Correct "
            "your clock and sign again.",
            WEBHOOK_AGE_S_MAX);
    signature_list_parse(signatures, &request.signatures);
    *ret_partner = directory_partner(ingress->options.directory, http_path_part(exchange, 0));
    return check_secrets(*ret_partner, &request, ret_refusal);
}

void ingress_post_signed(struct http_exchange *exchange, void *context)
{
    struct caller caller = {0};
    struct refusal refusal;
    enum err err = check_signature(context, exchange, &caller.partner, &refusal);
    if (err == ERR_UNAUTHENTICATED)
        metrics_add(METRIC_ACCESS_SIGNATURE, 1);
    if (!err) {
        err = caller_check_connection(exchange, &caller, &refusal);
        if (err)
            caller_turn_away(context, exchange, caller.partner);
    }
    if (err) {
        http_answer_refusal(exchange, &refusal);
        return;
    }
    http_set_caller(exchange, caller.partner->id);
    if (ingress_take_event(context, exchange, caller.partner))
        ingress_post_one(context, exchange, &caller, http_header(exchange, "webhook-id"));
}
