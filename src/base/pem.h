/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks PEM before the first TLS handshake: CA certificates, a certificate with its chain, a
 * private key, in files or in texts. The TLS code reads them again itself.
 *
 * Each function returns true, or false with the problem in words that can follow the name of the
 * file or text. Those with a path block on the disk.
 */
#ifndef PENSTOCK_BASE_PEM_H
#define PENSTOCK_BASE_PEM_H

#include "base/slice.h"

#define PEM_PROBLEM_BYTES 192
#define PEM_FILE_BYTES_MAX (8 * 1024 * 1024) /* Debian's CA bundle has 0.25 MiB */

/* Checks for a readable regular file that is not empty and has at most `bytes_max` bytes. */
bool file_is_readable(const char *path, long bytes_max, char *ret_problem);

bool pem_holds_certificates(const char *path, char *ret_problem);
/* A private key without a passphrase. */
bool pem_holds_key(const char *path, char *ret_problem);
/* For two valid files: returns whether the key belongs to the first certificate. */
bool pem_key_fits(const char *certificate_path, const char *key_path);

/* The same for texts. */
bool pem_text_holds_certificates(struct slice text, char *ret_problem);
bool pem_text_holds_key(struct slice text, char *ret_problem);
bool pem_text_key_fits(struct slice certificate, struct slice key);

#endif
