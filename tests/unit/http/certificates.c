/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/http/certificates.h"

#include "support/at_end.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DAY_S 86400L

static char directory[64];
static long serial;

void certificates_begin(void)
{
    snprintf(directory, sizeof directory, "/tmp/penstock-tls-XXXXXX");
    cr_assert(mkdtemp(directory));
}

void certificates_end(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_at_end(system(command) == 0);
}

const char *certificates_path(const char *file)
{
    static char paths[8][CERTIFICATES_PATH_BYTES];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, CERTIFICATES_PATH_BYTES, "%s/%s", directory, file);
    return path;
}

void certificates_write(const char *file, const char *text)
{
    FILE *out = fopen(certificates_path(file), "w");
    cr_assert(out && fputs(text, out) >= 0 && fclose(out) == 0);
}

/* With a new inode, as a rename makes it. */
void certificates_copy(const char *from, const char *to)
{
    char command[3 * CERTIFICATES_PATH_BYTES];
    snprintf(command, sizeof command, "cp %s %s.new && mv %s.new %s", certificates_path(from),
        certificates_path(to), certificates_path(to), certificates_path(to));
    cr_assert_eq(system(command), 0);
}

static void write_file(const char *name, const char *suffix, X509 *certificate, EVP_PKEY *key)
{
    char file[64];
    snprintf(file, sizeof file, "%s%s", name, suffix);
    FILE *out = fopen(certificates_path(file), "w");
    cr_assert(out);
    if (certificate)
        cr_assert_eq(PEM_write_X509(out, certificate), 1);
    else
        cr_assert_eq(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
    chmod(certificates_path(file), 0600);
}

static void add_extension(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    cr_assert(extension, "%s", value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *make(const char *name, EVP_PKEY *key, const struct authority *issuer, long begin_s,
    long end_s, const char *names)
{
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), begin_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), end_s);
    X509_set_pubkey(certificate, key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509 *signer = issuer ? issuer->certificate : certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(signer));
    add_extension(certificate, signer, NID_basic_constraints,
        issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (names)
        add_extension(certificate, signer, NID_subject_alt_name, names);
    cr_assert_gt(X509_sign(certificate, issuer ? issuer->key : key, EVP_sha256()), 0);
    return certificate;
}

struct authority authority_make(const char *name)
{
    struct authority made = {.key = EVP_EC_gen("P-256")};
    made.certificate = make(name, made.key, NULL, -DAY_S, 30 * DAY_S, NULL);
    write_file(name, ".pem", made.certificate, NULL);
    return made;
}

void authority_done(struct authority *authority)
{
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

void certificate_make(const struct authority *authority, const char *name, const char *names,
    long begin_s, long end_s)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make(name, key, authority, begin_s, end_s, names);
    write_file(name, ".pem", certificate, NULL);
    write_file(name, ".key", NULL, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
}
