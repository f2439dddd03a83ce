/* SPDX-License-Identifier: Apache-2.0 */
/* Who a client is, from the certificate that OpenSSL has verified. */
#include "http/tls_internal.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* A name that was cut, or that has a NUL in it, could be another one's. */
static bool is_printable(const unsigned char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return false;
    return len > 0;
}

static void add_text(struct tls_identity *identity, const char *kind, const ASN1_STRING *value)
{
    const unsigned char *text = ASN1_STRING_get0_data(value);
    size_t len = (size_t)ASN1_STRING_length(value), kind_len = strlen(kind);
    if (kind_len + len >= TLS_IDENTITY_NAME_BYTES || !is_printable(text, len))
        return;
    char *name = identity->names[identity->names_count++];
    memcpy(name, kind, kind_len);
    memcpy(name + kind_len, text, len);
}

static void add_address(struct tls_identity *identity, const ASN1_OCTET_STRING *value)
{
    int len = ASN1_STRING_length(value);
    char text[INET6_ADDRSTRLEN];
    if ((len == 4 || len == 16) &&
        inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), text, sizeof text))
        snprintf(identity->names[identity->names_count++], TLS_IDENTITY_NAME_BYTES, "IP:%s", text);
}

static void add_names(struct tls_identity *identity, const X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (identity->names_count == TLS_IDENTITY_NAMES_MAX)
            break;
        if (name->type == GEN_DNS)
            add_text(identity, "DNS:", name->d.dNSName);
        else if (name->type == GEN_URI)
            add_text(identity, "URI:", name->d.uniformResourceIdentifier);
        else if (name->type == GEN_EMAIL)
            add_text(identity, "email:", name->d.rfc822Name);
        else if (name->type == GEN_IPADD)
            add_address(identity, name->d.iPAddress);
    }
    GENERAL_NAMES_free(names);
}

struct tls_identity *tls_identity_new(const SSL *ssl, bool *ret_expired)
{
    *ret_expired = false;
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK)
        return NULL;
    *ret_expired = X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0;
    struct tls_identity *identity;
    MEMORY_NEW(identity);
    unsigned len = sizeof identity->sha256;
    if (X509_digest(certificate, EVP_sha256(), identity->sha256, &len) != 1) {
        free(identity);
        *ret_expired = true; /* it cannot be checked */
        return NULL;
    }
    add_names(identity, certificate);
    return identity;
}
