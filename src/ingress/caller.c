/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sends a request, and whether they may.
 *
 *   Authorization header -> SHA-256 -> credential -> partner: unknown, expired, disabled: 401
 *     -> the partner's networks, then its certificates (model/partner_rules.h): 403
 *     -> the scope of the key, once the account and the type are known (accept.c): 403
 *
 * The directory has only the SHA-256 of each key, so a look-up is the whole comparison. A key that
 * is unknown, revoked or expired, and one of a disabled partner, get the same answer after the same
 * work: one hash and two look-ups. Only the metrics distinguish them, and the list of rejections,
 * in which operators see that the key of a partner has expired.
 *
 * A header that occurs twice never gets here: it is among the single headers of both protocols
 * (ingress.c).
 */
#include "base/clock.h"
#include "http/server.h"
#include "ingress/ingress_internal.h"
#include "model/tls_identity.h"

#include <strings.h>

static enum err count(enum metric reason, enum err err)
{
    metrics_add(reason, 1);
    return err;
}

static enum err check_address(
    const struct caller *caller, const struct http_peer *peer, struct refusal *ret_refusal)
{
    if (partner_rules_allow(&caller->partner->rules, &peer->address))
        return OK;
    refuse(ret_refusal, ERR_FORBIDDEN,
        "You may not post from the address %s. Post from one of your own networks, or ask the "
        "operator to add this address.",
        peer->text);
    return count(METRIC_ACCESS_ADDRESS, ERR_FORBIDDEN);
}

static enum err check_certificate(
    const struct caller *caller, const struct tls_identity *identity, struct refusal *ret_refusal)
{
    if (partner_rules_fit_certificate(&caller->partner->rules, identity))
        return OK;
    if (!identity) {
        refuse(ret_refusal, ERR_FORBIDDEN,
            "You must use a client certificate, and this connection has none. Connect over TLS "
            "with your certificate.");
    } else {
        char fingerprint[2 * SHA256_BYTES + 1];
        hex_encode(slice_of(identity->sha256, SHA256_BYTES), fingerprint);
        refuse(ret_refusal, ERR_FORBIDDEN,
            "The client certificate sha256:%s is not yours. Connect with your certificate, or ask "
            "the operator to add this one.",
            fingerprint);
    }
    return count(METRIC_ACCESS_CERTIFICATE, ERR_FORBIDDEN);
}

enum err caller_check_connection(
    const struct http_exchange *exchange, const struct caller *caller, struct refusal *ret_refusal)
{
    enum err err = check_address(caller, http_peer(exchange), ret_refusal);
    return err ? err : check_certificate(caller, http_client_identity(exchange), ret_refusal);
}

/* Why the caller may not post with this key; METRIC_COUNT: it may. */
static enum metric judge_key(const struct caller *caller, int64_t now_us)
{
    if (!caller->credential || !caller->partner)
        return METRIC_ACCESS_UNKNOWN_KEY;
    if (credential_has_expired(caller->credential, now_us))
        return METRIC_ACCESS_EXPIRED_KEY;
    return caller->partner->enabled ? METRIC_COUNT : METRIC_ACCESS_PARTNER;
}

/* Returns the digest of the API key; false: there is none. */
static bool read_key(const struct http_exchange *exchange, unsigned char ret_digest[SHA256_BYTES])
{
    static const char scheme[] = "Bearer ";
    size_t prefix = sizeof scheme - 1;
    struct slice header = http_header(exchange, "authorization");
    if (header.len <= prefix || strncasecmp(header.data, scheme, prefix) != 0)
        return false;
    crypto_sha256(slice_of(header.data + prefix, header.len - prefix), ret_digest);
    return true;
}

const struct partner *caller_of_key(
    const struct ingress *ingress, const struct http_exchange *exchange)
{
    unsigned char digest[SHA256_BYTES];
    return read_key(exchange, digest)
               ? directory_partner_of_credential(ingress->options.directory, digest)
               : NULL;
}

void caller_turn_away(
    struct ingress *ingress, const struct http_exchange *exchange, const struct partner *partner)
{
    ingress->turned_away.exchange = exchange;
    ingress->turned_away.turn = http_turn(exchange);
    memcpy(ingress->turned_away.partner, partner->id, sizeof partner->id);
}

enum err caller_identify(struct ingress *ingress, struct http_exchange *exchange,
    struct caller *ret_caller, struct refusal *ret_refusal)
{
    const struct directory *directory = ingress->options.directory;
    struct caller caller = {0};
    unsigned char digest[SHA256_BYTES];
    ingress->turned_away.exchange = NULL;
    if (!read_key(exchange, digest)) {
        refuse(ret_refusal, ERR_UNAUTHENTICATED,
            "Send your API key as \"Authorization: Bearer pk_...\".");
        return count(METRIC_ACCESS_NO_KEY, ERR_UNAUTHENTICATED);
    }
    int64_t now_us = clock_wall_us();
    caller.credential = directory_credential(directory, digest);
    /* No partner has this name: it makes an unknown key as expensive as a known one. */
    caller.partner = directory_partner(directory,
        caller.credential ? slice_from_string(caller.credential->partner) : SLICE_LITERAL("-"));
    enum metric reason = judge_key(&caller, now_us);
    if (reason != METRIC_COUNT) {
        if (caller.credential && caller.partner)
            caller_turn_away(ingress, exchange, caller.partner);
        refuse(ret_refusal, ERR_UNAUTHENTICATED,
            "The API key is unknown, revoked or expired. Ask the operator for a new one.");
        return count(reason, ERR_UNAUTHENTICATED);
    }
    enum err err = caller_check_connection(exchange, &caller, ret_refusal);
    if (err) {
        caller_turn_away(ingress, exchange, caller.partner);
        return err;
    }
    directory_note_use(caller.credential, now_us);
    http_set_caller(exchange, caller.partner->id);
    *ret_caller = caller;
    return OK;
}

bool ingress_authenticate(
    struct ingress *ingress, struct http_exchange *exchange, struct caller *ret_caller)
{
    struct refusal refusal;
    if (caller_identify(ingress, exchange, ret_caller, &refusal) == OK)
        return true;
    http_answer_refusal(exchange, &refusal);
    return false;
}

enum err caller_check_scope(const struct caller *caller, struct slice account, struct slice type,
    struct refusal *ret_refusal)
{
    const struct key_scope *scope = caller->credential ? &caller->credential->scope : NULL;
    bool has_account = !scope || key_scope_has_account(scope, account);
    bool has_type = !scope || key_scope_has_type(scope, type);
    if (has_account && has_type)
        return OK;
    refuse(ret_refusal, ERR_FORBIDDEN,
        "This API key may not post this event. Use another key, or ask the operator for one.");
    if (!has_account)
        field_problems_add(
            &ret_refusal->problems, "/account", "is not in the scope of this API key");
    if (!has_type)
        field_problems_add(&ret_refusal->problems, "/type", "is not in the scope of this API key");
    return count(METRIC_ACCESS_SCOPE, ERR_FORBIDDEN);
}
