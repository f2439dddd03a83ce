/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/client/certificates.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static BIO *open_text(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    cr_assert(bio != NULL);
    return bio;
}

static X509 *read_certificate(const char *pem)
{
    BIO *bio = open_text(pem);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    cr_assert(certificate != NULL);
    BIO_free(bio);
    return certificate;
}

static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio = open_text(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    cr_assert(key != NULL);
    BIO_free(bio);
    return key;
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    cr_assert(extension && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void set_subject(X509 *certificate, const struct identity_options *options)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    const char *unit = "unit test", *name = options->common_name;
    X509_NAME_add_entry_by_txt(subject, "OU", MBSTRING_ASC, (const unsigned char *)unit, -1, -1, 0);
    if (name)
        X509_NAME_add_entry_by_txt(
            subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    char value[128];
    if (options->dns_name && options->other_name)
        snprintf(value, sizeof value, "DNS:%s,%s", options->dns_name, options->other_name);
    else if (options->dns_name)
        snprintf(value, sizeof value, "DNS:%s", options->dns_name);
    else if (options->other_name)
        snprintf(value, sizeof value, "%s", options->other_name);
    if (options->dns_name || options->other_name)
        add_extension(certificate, NID_subject_alt_name, value);
    if (options->is_ca)
        add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
}

static void copy_text(BIO *bio, char ret_pem[PEM_BYTES_MAX])
{
    int len = BIO_read(bio, ret_pem, PEM_BYTES_MAX - 1);
    cr_assert(len > 0);
    ret_pem[len] = '\0';
    BIO_free(bio);
}

void identity_make(struct identity *identity, const struct identity_options *options)
{
    static long serial = 1;
    bool has_dates = options->begins_days != 0 || options->ends_days != 0;
    X509 *certificate = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    cr_assert(certificate && key);
    X509_set_version(certificate, 2); /* counted from 0: version 3 */
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_time_adj_ex(
        X509_getm_notBefore(certificate), has_dates ? options->begins_days : -1, 0, NULL);
    X509_time_adj_ex(X509_getm_notAfter(certificate), has_dates ? options->ends_days : 1, 0, NULL);
    X509_set_pubkey(certificate, key);
    set_subject(certificate, options);
    X509 *issuer = options->issuer ? read_certificate(options->issuer->certificate_pem) : NULL;
    EVP_PKEY *issuer_key = options->issuer ? read_key(options->issuer->key_pem) : NULL;
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate));
    cr_assert(X509_sign(certificate, issuer_key ? issuer_key : key, EVP_sha256()) > 0);

    BIO *certificate_text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_mem());
    cr_assert(PEM_write_bio_X509(certificate_text, certificate) == 1 &&
              PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) == 1);
    copy_text(certificate_text, identity->certificate_pem);
    copy_text(key_text, identity->key_pem);
    EVP_PKEY_free(issuer_key);
    X509_free(issuer);
    EVP_PKEY_free(key);
    X509_free(certificate);
}

void identity_write(const char *pem, const char *path)
{
    FILE *file = fopen(path, "we");
    cr_assert(file && fputs(pem, file) >= 0 && fclose(file) == 0);
}
