/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_files.h"

#include "base/pem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE_BYTES_MAX 4096 /* a token, or user:password */

static bool check(struct complaints *complaints, const char *key, const char *path,
    const char *remedy, bool (*holds)(const char *path, char *ret_problem))
{
    char problem[PEM_PROBLEM_BYTES];
    if (!*path || holds(path, problem))
        return true;
    config_complain(complaints, key, "%s %s: %s", path, problem, remedy);
    return false;
}

static bool holds_secret(const char *path, char *ret_problem)
{
    return file_is_readable(path, SECRET_FILE_BYTES_MAX, ret_problem);
}

/* The directory, or the nearest one above it that exists, in which it is to be made. */
void config_check_data_directory(const struct config *config, struct complaints *complaints)
{
    const char *directory = config->data_directory;
    char path[4097];
    struct stat status;
    snprintf(path, sizeof path, "%s", directory);
    while (stat(path, &status) && errno == ENOENT) {
        char *slash = strrchr(path, '/');
        if (!slash) {
            snprintf(path, sizeof path, ".");
            break;
        }
        slash[slash == path] = '\0';
    }
    bool is_there = strcmp(path, directory) == 0;
    if (stat(path, &status))
        config_complain(
            complaints, "data.directory", "%s can't be reached: %s", path, strerror(errno));
    else if (!S_ISDIR(status.st_mode))
        config_complain(complaints, "data.directory",
            "%s is not a directory: name another one, or move it away", path);
    else if (access(path, W_OK | X_OK))
        config_complain(complaints, "data.directory",
            "%s %s (%s): give it to the gateway's user, or name another one", path,
            is_there ? "can't be written"
                     : "can't be written, so that the directory can't be made in it",
            strerror(errno));
}

void config_check_files(const struct config *config, struct complaints *complaints)
{
    static const char pem_remedy[] = "name a file of certificates in PEM form";
    (void)check(
        complaints, "delivery.ca_file", config->ca_file, pem_remedy, pem_holds_certificates);
    (void)check(complaints, "admin.token_file", config->admin_token_file,
        "name a file that holds the token, or leave the option out", holds_secret);
    if (*config->leader_url)
        (void)check(complaints, "leader.token_file", config->leader_token_file,
            "name a copy of the leader's keys/admin.token", holds_secret);
    if (config->queue_kind != CONFIG_QUEUE_RABBITMQ)
        return;
    (void)check(complaints, "broker.credentials_file", config->broker_credentials_file,
        "name a file that holds user:password", holds_secret);
    (void)check(
        complaints, "broker.ca_file", config->broker_ca_file, pem_remedy, pem_holds_certificates);
    bool both = *config->broker_certificate_file && *config->broker_key_file;
    both &= check(complaints, "broker.certificate_file", config->broker_certificate_file,
        pem_remedy, pem_holds_certificates);
    both &= check(complaints, "broker.key_file", config->broker_key_file,
        "name the certificate's key", pem_holds_key);
    if (both && !pem_key_fits(config->broker_certificate_file, config->broker_key_file))
        config_complain(complaints, "broker.key_file",
            "%s is not the key of the certificate in %s: name its own", config->broker_key_file,
            config->broker_certificate_file);
}
