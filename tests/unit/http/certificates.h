/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys for tests, as PEM files in a directory of the test. */
#ifndef PENSTOCK_TESTS_HTTP_CERTIFICATES_H
#define PENSTOCK_TESTS_HTTP_CERTIFICATES_H

#include <openssl/x509.h>

#define CERTIFICATES_PATH_BYTES 128

struct authority {
    EVP_PKEY *key;
    X509 *certificate;
};

/* Makes the directory. certificates_end removes it. */
void certificates_begin(void);
void certificates_end(void);

/* Writes NAME.pem with a CA. */
struct authority authority_make(const char *name);
void authority_done(struct authority *authority);

/* Writes NAME.pem and NAME.key. `names`: as in "DNS:a.example,DNS:*.b.example"; NULL: none. The
 * certificate is valid from `begin_s` to `end_s`, counted from now. */
void certificate_make(const struct authority *authority, const char *name, const char *names,
    long begin_s, long end_s);

/* Returns the path of a file of the directory, in one of a few buffers that are used in turn. */
const char *certificates_path(const char *file);
void certificates_copy(const char *from, const char *to);
void certificates_write(const char *file, const char *text);

#endif
