/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator sets for one partner: how much it may post, from where, and with which client
 * certificate. One JSON object; every member is optional.
 *
 *   events_per_second, events_burst   whole numbers of events
 *   bytes_per_second, bytes_burst     1048576, or "1MiB"
 *   allow_networks                    ["203.0.113.0/24", "2001:db8::/32"]: posts come from there.
 *                                     Empty or absent: from everywhere
 *   certificates                      ["sha256:...", "dns:post.shop.example"]: see tls_identity.h
 *   certificate_required              true: each request must come over a connection with one of
 *                                     the certificates. It is a second factor beside the key or the
 *                                     signature, and never replaces them
 *
 * 0 for a rate or a burst means the installation's default.
 */
#ifndef PENSTOCK_MODEL_PARTNER_RULES_H
#define PENSTOCK_MODEL_PARTNER_RULES_H

#include "base/buffer.h"
#include "base/network.h"
#include "model/tls_identity.h"

#include <netinet/in.h>

#define PARTNER_NETWORKS_MAX 16
#define PARTNER_CERTIFICATES_MAX 8

struct refusal; /* model/refusal.h */

struct partner_rules {
    unsigned events_per_s, events_burst;
    uint64_t bytes_per_s, bytes_burst;
    unsigned allow_count;
    struct network allow[PARTNER_NETWORKS_MAX];
    bool certificate_required; /* false without certificates */
    unsigned certificates_count;
    struct certificate_name certificates[PARTNER_CERTIFICATES_MAX];
};

/*
 * Changes the rules to what the object says: a member that is absent leaves its rule, and null
 * resets it (RFC 7396). ERR_MALFORMED_JSON, ERR_TOO_LARGE, or ERR_INVALID with the problems of
 * single members: each has a JSON pointer into the object, such as /allow_networks/0, and says what
 * it must be. On failure the rules are unchanged.
 */
enum err partner_rules_change(
    struct partner_rules *rules, struct slice json, struct refusal *ret_refusal) MUST_CHECK;

/* Adds the rules as a JSON object, with only the members that are set: {} for the zeroed struct. */
void partner_rules_print(const struct partner_rules *rules, struct buffer *json);

/* Whether the partner may post from this address. IPv4 is mapped (::ffff:a.b.c.d). */
bool partner_rules_allow(const struct partner_rules *rules, const struct in6_addr *address);

/* Whether the certificate of a connection is one that the partner must show. `identity` is NULL
 * without a certificate. True if none is required. */
bool partner_rules_fit_certificate(
    const struct partner_rules *rules, const struct tls_identity *identity);

#endif
