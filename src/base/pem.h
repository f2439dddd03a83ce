/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether files hold what TLS will want of them: CA certificates, a certificate with its chain, its
 * key (PEM). For looking before the first handshake; whoever speaks TLS reads the files itself.
 *
 * Each returns true, or false with the problem in words, fit to follow the file's name. Blocks on
 * the disk.
 */
#ifndef PENSTOCK_BASE_PEM_H
#define PENSTOCK_BASE_PEM_H

#include <stdbool.h>

#define PEM_PROBLEM_BYTES 192
#define PEM_FILE_BYTES_MAX (8 * 1024 * 1024) /* the system's bundle has a quarter of one */

/* A regular file that can be read, is not empty, and not larger than `bytes_max`. */
bool file_is_readable(const char *path, long bytes_max, char *ret_problem);

bool pem_holds_certificates(const char *path, char *ret_problem);
/* A private key without a passphrase. */
bool pem_holds_key(const char *path, char *ret_problem);
/* Both hold what they should: whether the key is the first certificate's. */
bool pem_key_fits(const char *certificate_path, const char *key_path);

#endif
