/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for tests, with every mistake that a certificate can have. */
#ifndef PENSTOCK_TESTS_UNIT_CLIENT_CERTIFICATES_H
#define PENSTOCK_TESTS_UNIT_CLIENT_CERTIFICATES_H

#include <stdbool.h>

#define PEM_BYTES_MAX 4096

struct identity {
    char certificate_pem[PEM_BYTES_MAX], key_pem[PEM_BYTES_MAX];
};

struct identity_options {
    const char *common_name;       /* NULL: none */
    const char *dns_name;          /* the subject's alternative name; NULL: none */
    const char *other_name;        /* one more, as OpenSSL writes it: "IP:127.0.0.1"; NULL: none */
    const struct identity *issuer; /* NULL: self-signed */
    bool is_ca;
    int begins_days, ends_days; /* from now; both 0: valid from yesterday for two days */
};

void identity_make(struct identity *identity, const struct identity_options *options);
/* Writes a text to a file. */
void identity_write(const char *pem, const char *path);

#endif
