/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_is_readable(const char *path, long bytes_max, char *ret_problem)
{
    struct stat status;
    const char *problem = NULL;
    if (stat(path, &status) || access(path, R_OK))
        problem = errno == ENOENT   ? "does not exist"
                  : errno == EACCES ? "cannot be read: permission denied"
                                    : strerror(errno);
    else if (!S_ISREG(status.st_mode))
        problem = S_ISDIR(status.st_mode) ? "is a directory" : "is not a file";
    else if (status.st_size == 0)
        problem = "is empty";
    else if (status.st_size > bytes_max)
        problem = "is too large";
    if (problem)
        snprintf(ret_problem, PEM_PROBLEM_BYTES, "%s", problem);
    return !problem;
}

static bool say(char *ret_problem, const char *problem)
{
    ERR_clear_error();
    snprintf(ret_problem, PEM_PROBLEM_BYTES, "%s", problem);
    return false;
}

/* A daemon has nobody to ask for a passphrase. */
static int no_passphrase(char *buffer, int size, int for_writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)for_writing;
    (void)context;
    return 0;
}

static X509 *first_certificate(const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    X509 *certificate = file ? PEM_read_bio_X509(file, NULL, no_passphrase, NULL) : NULL;
    BIO_free(file);
    return certificate;
}

static EVP_PKEY *read_key(const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    EVP_PKEY *key = file ? PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL) : NULL;
    BIO_free(file);
    return key;
}

bool pem_holds_certificates(const char *path, char *ret_problem)
{
    if (!file_is_readable(path, PEM_FILE_BYTES_MAX, ret_problem))
        return false;
    BIO *file = BIO_new_file(path, "r");
    int count = 0;
    X509 *certificate;
    while (file && (certificate = PEM_read_bio_X509(file, NULL, no_passphrase, NULL))) {
        X509_free(certificate);
        count++;
    }
    /* PEM_R_NO_START_LINE means the end of the file. Any other reason means a damaged certificate.
     */
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(file);
    if (count == 0)
        return say(ret_problem, "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    if (!at_end)
        return say(ret_problem, "holds a damaged certificate after valid ones");
    ERR_clear_error();
    return true;
}

bool pem_holds_key(const char *path, char *ret_problem)
{
    if (!file_is_readable(path, PEM_FILE_BYTES_MAX, ret_problem))
        return false;
    EVP_PKEY *key = read_key(path);
    if (!key)
        return say(ret_problem, "holds no private key in PEM form, or the key has a passphrase");
    EVP_PKEY_free(key);
    return true;
}

bool pem_key_fits(const char *certificate_path, const char *key_path)
{
    X509 *certificate = first_certificate(certificate_path);
    EVP_PKEY *key = read_key(key_path);
    bool fits = certificate && key && X509_check_private_key(certificate, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return fits;
}
