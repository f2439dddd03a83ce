/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of the options of the two listeners: addresses, certificates and keys. */
#include "config/config_check.h"

#include "base/cleanup.h"
#include "base/pem.h"

#include <stdio.h>
#include <string.h>

/* The options of one listener, with their keys. */
struct listener {
    const char *listen, *tls_listen, *certificate_file, *key_file, *client_ca_file;
    struct {
        const char *listen, *tls_listen, *certificate_file, *key_file, *client_ca_file;
    } keys;
};

#define KEYS(section)                                                          \
    {                                                                          \
        section ".listen", section ".tls_listen", section ".certificate_file", \
            section ".key_file", section ".client_ca_file"                     \
    }

static struct listener ingress_of(const struct config *config)
{
    return (struct listener){config->ingress_listen, config->ingress_tls_listen,
        config->ingress_certificate_file, config->ingress_key_file, config->ingress_client_ca_file,
        KEYS("ingress")};
}

static struct listener admin_of(const struct config *config)
{
    return (struct listener){config->admin_listen, config->admin_tls_listen,
        config->admin_certificate_file, config->admin_key_file, config->admin_client_ca_file,
        KEYS("admin")};
}

static unsigned count_paths(const char *paths)
{
    unsigned count = 0;
    for (struct slice rest = slice_from_string(paths); rest.len > 0; count++)
        (void)slice_take_until(&rest, ',');
    return count;
}

static void check_unused(const struct listener *listener, struct complaints *complaints)
{
    const struct {
        const char *key, *value;
    } options[] = {{listener->keys.certificate_file, listener->certificate_file},
        {listener->keys.key_file, listener->key_file},
        {listener->keys.client_ca_file, listener->client_ca_file}};
    for (size_t i = 0; i < ARRAY_LENGTH(options); i++)
        if (*options[i].value)
            config_complain(complaints, options[i].key,
                "has no effect without %s: set %s, or remove this option",
                listener->keys.tls_listen, listener->keys.tls_listen);
}

static void check_listener(const struct listener *listener, struct complaints *complaints)
{
    unsigned certificates = count_paths(listener->certificate_file);
    unsigned keys = count_paths(listener->key_file);
    if (!*listener->tls_listen)
        check_unused(listener, complaints);
    else if (certificates == 0)
        config_complain(complaints, listener->keys.certificate_file,
            "is missing: set it to the file with the certificate of %s, or remove %s",
            listener->keys.tls_listen, listener->keys.tls_listen);
    else if (keys == 0)
        config_complain(complaints, listener->keys.key_file,
            "is missing: set it to the file with the key of %s", listener->keys.certificate_file);
    else if (certificates != keys)
        config_complain(complaints, listener->keys.key_file,
            "names %u files, and %s names %u: name one key for each certificate, in the same order",
            keys, listener->keys.certificate_file, certificates);
}

/* A port of 0 picks a free one. */
static bool are_same(const char *address, const char *other)
{
    size_t len = strlen(address);
    bool any_port = len > 2 && strcmp(address + len - 2, ":0") == 0;
    return len > 0 && !any_port && strcmp(address, other) == 0;
}

static void check_addresses(
    const struct listener *ingress, const struct listener *admin, struct complaints *complaints)
{
    const struct {
        const char *key, *address;
    } all[] = {{ingress->keys.listen, ingress->listen},
        {ingress->keys.tls_listen, ingress->tls_listen}, {admin->keys.listen, admin->listen},
        {admin->keys.tls_listen, admin->tls_listen}};
    for (size_t i = 1; i < ARRAY_LENGTH(all); i++)
        for (size_t j = 0; j < i; j++)
            if (are_same(all[j].address, all[i].address))
                config_complain(complaints, all[i].key,
                    "is the address of %s as well: choose another port", all[j].key);
}

void config_check_tls(const struct config *config, struct complaints *complaints)
{
    struct listener ingress = ingress_of(config), admin = admin_of(config);
    if (!*ingress.listen && !*ingress.tls_listen)
        config_complain(complaints, ingress.keys.listen,
            "must not be empty without ingress.tls_listen: set one of them");
    check_listener(&ingress, complaints);
    check_listener(&admin, complaints);
    check_addresses(&ingress, &admin, complaints);
}

/* Files. */

static void copy(struct slice part, char ret_path[4001])
{
    snprintf(ret_path, 4001, "%.*s", SLICE_ARGS(part));
}

/* One certificate with its key. */
static void check_pair(const struct listener *listener, const char *certificate, const char *key,
    struct complaints *complaints)
{
    char problem[PEM_PROBLEM_BYTES];
    bool good = pem_holds_certificates(certificate, problem);
    if (!good)
        config_complain(complaints, listener->keys.certificate_file,
            "%.400s %s: choose a file with the certificate and its chain in PEM form", certificate,
            problem);
    if (!pem_holds_key(key, problem))
        config_complain(complaints, listener->keys.key_file,
            "%.400s %s: choose the file with the key of the certificate, and let the user of the "
            "gateway read it",
            key, problem);
    else if (good && !pem_key_fits(certificate, key))
        config_complain(complaints, listener->keys.key_file,
            "%.300s is not the key of the certificate in %.300s: choose the key of that "
            "certificate",
            key, certificate);
}

static void check_files(const struct listener *listener, struct complaints *complaints)
{
    char certificate[4001], key[4001], problem[PEM_PROBLEM_BYTES];
    struct slice certificates = slice_from_string(listener->certificate_file);
    struct slice keys = slice_from_string(listener->key_file);
    if (!*listener->tls_listen)
        return;
    while (certificates.len > 0 && keys.len > 0) {
        copy(slice_take_until(&certificates, ','), certificate);
        copy(slice_take_until(&keys, ','), key);
        check_pair(listener, certificate, key, complaints);
    }
    if (*listener->client_ca_file && !pem_holds_certificates(listener->client_ca_file, problem))
        config_complain(complaints, listener->keys.client_ca_file,
            "%.400s %s: choose a file with CA certificates in PEM form", listener->client_ca_file,
            problem);
}

void config_check_tls_files(const struct config *config, struct complaints *complaints)
{
    struct listener ingress = ingress_of(config), admin = admin_of(config);
    check_files(&ingress, complaints);
    check_files(&admin, complaints);
}
