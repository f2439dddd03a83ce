/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a client certificate belongs to: its fingerprint and the names in it (subjectAltName). The
 * adapter that verified the certificate fills it; rules of partners are compared with it.
 *
 *   sha256:HEX      the SHA-256 of the certificate in DER form. Colons between bytes are possible:
 *                   openssl x509 -noout -fingerprint -sha256 prints such a text
 *   dns:NAME        a dNSName. Case does not count
 *   uri:URI         a uniformResourceIdentifier, such as spiffe://shop.example/post
 *   email:ADDRESS   an rfc822Name
 *
 * A name is compared as a whole: a wildcard means itself, and nothing else.
 */
#ifndef PENSTOCK_MODEL_TLS_IDENTITY_H
#define PENSTOCK_MODEL_TLS_IDENTITY_H

#include "base/crypto.h"

#define TLS_IDENTITY_NAMES_MAX 16
#define TLS_IDENTITY_NAME_BYTES 256

/* A client's certificate, which the client CA has signed. */
struct tls_identity {
    unsigned char sha256[SHA256_BYTES]; /* of its DER form: the usual fingerprint */
    /* Its subject alternative names: "DNS:shop.example", "URI:spiffe://shop/gate",
     * "email:gate@shop.example", "IP:192.0.2.1". Names that are too long, or that have bytes other
     * than printable ASCII, are left out, and so are those beyond the maximum. */
    unsigned names_count;
    char names[TLS_IDENTITY_NAMES_MAX][TLS_IDENTITY_NAME_BYTES];
};

/* A name in the rules of a partner. */
enum certificate_name_kind {
    CERTIFICATE_SHA256,
    CERTIFICATE_DNS,
    CERTIFICATE_URI,
    CERTIFICATE_EMAIL,
    CERTIFICATE_NAME_KINDS
};

#define CERTIFICATE_NAME_BYTES_MAX 250 /* an identity has none that is longer */

struct certificate_name {
    enum certificate_name_kind kind;
    /* Without the kind. A fingerprint is 64 digits of lower case, and a dNSName is in lower
     * case. */
    char text[CERTIFICATE_NAME_BYTES_MAX + 1];
};

/* Reads "sha256:HEX", "dns:NAME", "uri:URI" or "email:ADDRESS". Returns false for other text. */
bool certificate_name_parse(struct slice text, struct certificate_name *ret_name);
#define CERTIFICATE_NAME_RULE                                                             \
    "must be sha256: and a fingerprint of 64 digits, or dns:, uri: or email: and a name " \
    "in the certificate"

/* Writes what certificate_name_parse reads. */
#define CERTIFICATE_NAME_TEXT_BYTES (CERTIFICATE_NAME_BYTES_MAX + sizeof "sha256:")
void certificate_name_format(
    const struct certificate_name *name, char ret_text[CERTIFICATE_NAME_TEXT_BYTES]);

bool tls_identity_has(const struct tls_identity *identity, const struct certificate_name *name);

#endif
