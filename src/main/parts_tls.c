/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part of the gateway: the certificates of the two listeners. Main reads them, at the start, at a
 * reload, and when a file has changed. The listeners only use them.
 */
#include "main/gateway_internal.h"

#include "runtime/log.h"

#include <stdio.h>
#include <string.h>

static const struct http_tls_options ingress_options = {
    .listener = "ingress", .expires = METRIC_TLS_EXPIRES_INGRESS};
/* Nothing says which operator a certificate belongs to, so all operators need one of the CA. */
static const struct http_tls_options admin_options = {
    .listener = "admin", .certificate_required = true, .expires = METRIC_TLS_EXPIRES_ADMIN};

static struct http_tls_files ingress_files(const struct config *config)
{
    return (struct http_tls_files){.certificates = config->ingress_certificate_file,
        .keys = config->ingress_key_file,
        .client_ca = config->ingress_client_ca_file};
}

static struct http_tls_files admin_files(const struct config *config)
{
    return (struct http_tls_files){.certificates = config->admin_certificate_file,
        .keys = config->admin_key_file,
        .client_ca = config->admin_client_ca_file};
}

static void log_lines(enum log_level level, const struct buffer *lines)
{
    for (const char *line = lines->data; line && *line;) {
        int len = (int)strcspn(line, "\n");
        log_write(level, "%.*s", len, line);
        line += len + (line[len] == '\n');
    }
}

static void log_warnings(struct http_tls *tls, const struct http_tls_report *report)
{
    log_lines(http_tls_has_expired(tls) ? LOG_ERROR : LOG_WARN, &report->warnings);
}

static enum err start_one(const struct http_tls_options *options,
    const struct http_tls_files *files, struct http_tls **ret_tls, struct buffer *complaints)
{
    struct http_tls_report report = {.complaints = BUFFER_EMPTY, .warnings = BUFFER_EMPTY};
    enum err err = http_tls_new(options, files, ret_tls, &report);
    if (err)
        buffer_add_slice(complaints, buffer_slice(&report.complaints));
    else
        log_warnings(*ret_tls, &report);
    http_tls_report_done(&report);
    return err;
}

enum err start_tls(struct gateway *gateway, struct buffer *complaints)
{
    const struct config *config = gateway->options.config;
    struct http_tls_files ingress = ingress_files(config), admin = admin_files(config);
    enum err err = OK;
    if (*config->ingress_tls_listen)
        err = start_one(&ingress_options, &ingress, &gateway->ingress_tls, complaints);
    if (!err && *config->admin_tls_listen)
        err = start_one(&admin_options, &admin, &gateway->admin_tls, complaints);
    return err;
}

void free_tls(struct gateway *gateway)
{
    http_tls_free(gateway->ingress_tls);
    http_tls_free(gateway->admin_tls);
}

static void reload_one(struct http_tls *tls, const struct http_tls_files *files, const char *name)
{
    struct http_tls_report report = {.complaints = BUFFER_EMPTY, .warnings = BUFFER_EMPTY};
    if (!tls)
        return;
    if (http_tls_reload(tls, files, &report)) {
        log_lines(LOG_ERROR, &report.complaints);
        log_error("the old certificates of %s.tls_listen remain: correct the files", name);
    } else {
        log_warnings(tls, &report);
    }
    http_tls_report_done(&report);
}

void reload_tls(struct gateway *gateway, const struct config *config)
{
    struct http_tls_files ingress = ingress_files(config), admin = admin_files(config);
    reload_one(gateway->ingress_tls, &ingress, "ingress");
    reload_one(gateway->admin_tls, &admin, "admin");
}

static void look_at_one(struct http_tls *tls, const char *name)
{
    struct http_tls_report report = {.complaints = BUFFER_EMPTY, .warnings = BUFFER_EMPTY};
    if (!tls)
        return;
    switch (http_tls_look(tls, &report)) {
    case HTTP_TLS_SAME:
        break;
    case HTTP_TLS_RELOADED:
        log_info("the certificates of %s.tls_listen have changed and were read again", name);
        break;
    case HTTP_TLS_REJECTED:
        log_lines(LOG_ERROR, &report.complaints);
        log_error("the old certificates of %s.tls_listen remain: correct the files", name);
        break;
    }
    log_warnings(tls, &report);
    http_tls_report_done(&report);
}

void look_at_tls(struct gateway *gateway)
{
    look_at_one(gateway->ingress_tls, "ingress");
    look_at_one(gateway->admin_tls, "admin");
}

/* For `check`. */

static enum err check_one(const struct http_tls_options *options,
    const struct http_tls_files *files, struct buffer *complaints, struct buffer *warnings)
{
    struct http_tls_report report = {.complaints = BUFFER_EMPTY, .warnings = BUFFER_EMPTY};
    struct http_tls *tls = NULL;
    enum err err = http_tls_new(options, files, &tls, &report);
    if (!err && http_tls_has_expired(tls))
        err = ERR_CONFIG;
    buffer_add_slice(complaints, buffer_slice(&report.complaints));
    buffer_add_slice(err ? complaints : warnings, buffer_slice(&report.warnings));
    http_tls_report_done(&report);
    http_tls_free(tls);
    return err;
}

enum err gateway_check_tls(
    const struct config *config, struct buffer *complaints, struct buffer *warnings)
{
    struct http_tls_files ingress = ingress_files(config), admin = admin_files(config);
    enum err err = OK, other = OK;
    if (*config->ingress_tls_listen)
        err = check_one(&ingress_options, &ingress, complaints, warnings);
    if (*config->admin_tls_listen)
        other = check_one(&admin_options, &admin, complaints, warnings);
    return err ? err : other;
}
