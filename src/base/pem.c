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

/* Each of the following takes the input over. NULL reads as one that holds nothing. */

static bool holds_certificates(BIO *input, char *ret_problem)
{
    int count = 0;
    X509 *certificate;
    while (input && (certificate = PEM_read_bio_X509(input, NULL, no_passphrase, NULL))) {
        X509_free(certificate);
        count++;
    }
    /* PEM_R_NO_START_LINE means the end of the input. Any other reason means a damaged certificate.
     */
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(input);
    if (count == 0)
        return say(ret_problem, "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    if (!at_end)
        return say(ret_problem, "holds a damaged certificate after valid ones");
    ERR_clear_error();
    return true;
}

static bool holds_key(BIO *input, char *ret_problem)
{
    EVP_PKEY *key = input ? PEM_read_bio_PrivateKey(input, NULL, no_passphrase, NULL) : NULL;
    BIO_free(input);
    if (!key)
        return say(ret_problem, "holds no private key in PEM form, or the key has a passphrase");
    EVP_PKEY_free(key);
    return true;
}

static bool key_fits(BIO *certificate_input, BIO *key_input)
{
    X509 *certificate =
        certificate_input ? PEM_read_bio_X509(certificate_input, NULL, no_passphrase, NULL) : NULL;
    EVP_PKEY *key =
        key_input ? PEM_read_bio_PrivateKey(key_input, NULL, no_passphrase, NULL) : NULL;
    bool fits = certificate && key && X509_check_private_key(certificate, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(certificate_input);
    BIO_free(key_input);
    ERR_clear_error();
    return fits;
}

bool pem_holds_certificates(const char *path, char *ret_problem)
{
    return file_is_readable(path, PEM_FILE_BYTES_MAX, ret_problem) &&
           holds_certificates(BIO_new_file(path, "r"), ret_problem);
}

bool pem_holds_key(const char *path, char *ret_problem)
{
    return file_is_readable(path, PEM_FILE_BYTES_MAX, ret_problem) &&
           holds_key(BIO_new_file(path, "r"), ret_problem);
}

bool pem_key_fits(const char *certificate_path, const char *key_path)
{
    return key_fits(BIO_new_file(certificate_path, "r"), BIO_new_file(key_path, "r"));
}

bool pem_text_holds_certificates(struct slice text, char *ret_problem)
{
    return holds_certificates(BIO_new_mem_buf(text.data, (int)text.len), ret_problem);
}

bool pem_text_holds_key(struct slice text, char *ret_problem)
{
    return holds_key(BIO_new_mem_buf(text.data, (int)text.len), ret_problem);
}

bool pem_text_key_fits(struct slice certificate, struct slice key)
{
    return key_fits(BIO_new_mem_buf(certificate.data, (int)certificate.len),
        BIO_new_mem_buf(key.data, (int)key.len));
}
