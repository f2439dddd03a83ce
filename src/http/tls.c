/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS object of a listener: its files, and the contexts that are made from them. */
#include "http/tls_internal.h"

#include "base/cleanup.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPIRES_SOON_DAYS 14 /* enough for two weekends and a second attempt */
/* A pair that does not fit may be one whose second file is written a moment later. */
#define REJECTIONS_TO_REPORT 2

/* Files. */

static void files_done(struct tls_files *files)
{
    for (unsigned i = 0; i < TLS_CERTIFICATES_MAX; i++) {
        free(files->certificates[i]);
        free(files->keys[i]);
    }
    free(files->client_ca);
}

static char *copy_part(struct slice part)
{
    char *text = memory_new(part.len + 1);
    memcpy(text, part.data, part.len);
    return text;
}

/* Returns the number of paths, or TLS_CERTIFICATES_MAX + 1 if there are too many. */
static unsigned split(const char *paths, char *ret_paths[TLS_CERTIFICATES_MAX])
{
    unsigned count = 0;
    for (struct slice rest = slice_from_string(paths); rest.len > 0; count++) {
        struct slice part = slice_take_until(&rest, ',');
        if (count == TLS_CERTIFICATES_MAX)
            return count + 1;
        ret_paths[count] = copy_part(part);
    }
    return count;
}

static bool read_files(const struct http_tls *tls, const struct http_tls_files *given,
    struct tls_files *ret_files, struct buffer *complaints)
{
    *ret_files = (struct tls_files){.certificates_count = 0};
    unsigned certificates = split(given->certificates, ret_files->certificates);
    unsigned keys = split(given->keys, ret_files->keys);
    if (given->client_ca && *given->client_ca)
        ret_files->client_ca = memory_copy_string(given->client_ca);
    ret_files->certificates_count = certificates;
    if (certificates > TLS_CERTIFICATES_MAX || keys > TLS_CERTIFICATES_MAX)
        tls_report_add(complaints, tls, "certificate_file", "has",
            "more than %d files: remove some of them", TLS_CERTIFICATES_MAX);
    else if (certificates == 0)
        tls_report_add(complaints, tls, "certificate_file", "is",
            "empty: name a file with the certificate and its chain in PEM form");
    else if (certificates != keys)
        tls_report_add(complaints, tls, "key_file", "has",
            "%u files, and %s.certificate_file has %u: name one key for each certificate, in the "
            "same order, with commas between them",
            keys, tls->options.listener, certificates);
    else
        return true;
    files_done(ret_files);
    return false;
}

/* A file that does not exist has a stamp of zeros. */
static void take_stamps(const struct tls_files *files, struct stat ret_stamps[TLS_FILES_MAX])
{
    memset(ret_stamps, 0, TLS_FILES_MAX * sizeof *ret_stamps);
    unsigned count = files->certificates_count;
    for (unsigned i = 0; i < count; i++) {
        (void)!stat(files->certificates[i], &ret_stamps[i]);
        (void)!stat(files->keys[i], &ret_stamps[count + i]);
    }
    if (files->client_ca)
        (void)!stat(files->client_ca, &ret_stamps[2 * count]);
}

static bool are_same(const struct stat a[TLS_FILES_MAX], const struct stat b[TLS_FILES_MAX])
{
    for (unsigned i = 0; i < TLS_FILES_MAX; i++)
        if (a[i].st_dev != b[i].st_dev || a[i].st_ino != b[i].st_ino ||
            a[i].st_size != b[i].st_size || a[i].st_mtim.tv_sec != b[i].st_mtim.tv_sec ||
            a[i].st_mtim.tv_nsec != b[i].st_mtim.tv_nsec)
            return false;
    return true;
}

/* Dates. */

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : INT64_MAX;
}

static int64_t now_s(void)
{
    return clock_wall_us() / US_PER_SECOND;
}

static bool has_expired(SSL_CTX *context)
{
    for (unsigned i = 0; i < tls_context_count(context); i++)
        if (seconds_of(X509_get0_notAfter(tls_context_certificate(context, i))) <= now_s())
            return true;
    return false;
}

/* Adds a line for each certificate that has expired, expires soon, or is not valid yet. Returns
 * whether there is one. */
static bool report_dates(const struct http_tls *tls, SSL_CTX *context,
    const struct tls_files *files, struct buffer *lines)
{
    size_t before = lines->len;
    for (unsigned i = 0; i < tls_context_count(context); i++) {
        X509 *certificate = tls_context_certificate(context, i);
        int64_t begins_s = seconds_of(X509_get0_notBefore(certificate));
        int64_t ends_s = seconds_of(X509_get0_notAfter(certificate)), left_s = ends_s - now_s();
        char begins[CLOCK_TEXT_BYTES], ends[CLOCK_TEXT_BYTES];
        clock_format_rfc3339(begins_s * US_PER_SECOND, begins);
        clock_format_rfc3339(ends_s * US_PER_SECOND, ends);
        if (left_s <= 0)
            tls_report_add(lines, tls, "certificate_file", files->certificates[i],
                "expired at %.19sZ, so clients reject it: replace the file and its key", ends);
        else if (begins_s > now_s())
            tls_report_add(lines, tls, "certificate_file", files->certificates[i],
                "is valid from %.19sZ on, which is in the future: check the clock of this machine, "
                "or replace the file and its key",
                begins);
        else if (left_s < EXPIRES_SOON_DAYS * INT64_C(86400))
            tls_report_add(lines, tls, "certificate_file", files->certificates[i],
                "expires at %.19sZ, in %lld day%s: replace the file and its key before", ends,
                (long long)(left_s / 86400), left_s / 86400 == 1 ? "" : "s");
    }
    return lines->len > before;
}

static void show_expiry(struct http_tls *tls, SSL_CTX *context)
{
    int64_t first_s = INT64_MAX;
    for (unsigned i = 0; i < tls_context_count(context); i++) {
        int64_t ends_s = seconds_of(X509_get0_notAfter(tls_context_certificate(context, i)));
        first_s = ends_s < first_s ? ends_s : first_s;
    }
    metrics_add(tls->options.expires, first_s - tls->expires_metric_s);
    tls->expires_metric_s = first_s;
}

/* The object. */

void http_tls_report_done(struct http_tls_report *report)
{
    buffer_done(&report->complaints);
    buffer_done(&report->warnings);
}

SSL_CTX *http_tls_take_context(struct http_tls *tls)
{
    pthread_mutex_lock(&tls->mutex);
    SSL_CTX *context = tls->context;
    SSL_CTX_up_ref(context);
    pthread_mutex_unlock(&tls->mutex);
    return context;
}

/* Makes contexts from `files`, which it takes over when it succeeds. */
static enum err adopt(struct http_tls *tls, struct tls_files *files, struct http_tls_report *report)
{
    take_stamps(files, files->stamps); /* before they are read: later changes are noticed */
    SSL_CTX *fresh = tls_context_new(tls, files, report);
    if (!fresh)
        return ERR_CONFIG;
    if (tls->context && has_expired(fresh) && !has_expired(tls->context)) {
        report_dates(tls, fresh, files, &report->complaints);
        SSL_CTX_free(fresh);
        return ERR_CONFIG;
    }
    if (report_dates(tls, fresh, files, &report->warnings))
        tls->warned_mono_us = clock_mono_us();
    show_expiry(tls, fresh);
    pthread_mutex_lock(&tls->mutex);
    SSL_CTX *old = tls->context;
    tls->context = fresh;
    pthread_mutex_unlock(&tls->mutex);
    SSL_CTX_free(old);
    files_done(&tls->files);
    tls->files = *files;
    tls->rejections = 0;
    return OK;
}

static enum err adopt_given(
    struct http_tls *tls, const struct http_tls_files *given, struct http_tls_report *report)
{
    struct tls_files files;
    if (!read_files(tls, given, &files, &report->complaints))
        return ERR_CONFIG;
    enum err err = adopt(tls, &files, report);
    if (err)
        files_done(&files);
    return err;
}

enum err http_tls_new(const struct http_tls_options *options, const struct http_tls_files *files,
    struct http_tls **ret_tls, struct http_tls_report *report)
{
    struct http_tls *tls;
    MEMORY_NEW(tls);
    tls->options = *options;
    pthread_mutex_init(&tls->mutex, NULL);
    tls_tickets_init(&tls->tickets);
    enum err err = adopt_given(tls, files, report);
    if (err)
        http_tls_free(tls);
    else
        *ret_tls = tls;
    return err;
}

void http_tls_free(struct http_tls *tls)
{
    if (!tls)
        return;
    metrics_add(tls->options.expires, -tls->expires_metric_s);
    SSL_CTX_free(tls->context);
    files_done(&tls->files);
    tls_tickets_done(&tls->tickets);
    pthread_mutex_destroy(&tls->mutex);
    free(tls);
}

enum err http_tls_reload(
    struct http_tls *tls, const struct http_tls_files *files, struct http_tls_report *report)
{
    return adopt_given(tls, files, report);
}

static void remind(struct http_tls *tls, struct http_tls_report *report)
{
    int64_t now_us = clock_mono_us();
    if (tls->warned_mono_us && now_us - tls->warned_mono_us < US_PER_DAY)
        return;
    if (report_dates(tls, tls->context, &tls->files, &report->warnings))
        tls->warned_mono_us = now_us;
}

static enum http_tls_news read_again(
    struct http_tls *tls, const struct stat stamps[TLS_FILES_MAX], struct http_tls_report *report)
{
    struct http_tls_report own = {.complaints = BUFFER_EMPTY, .warnings = BUFFER_EMPTY};
    struct tls_files *now = &tls->files;
    struct tls_files files = {.certificates_count = now->certificates_count};
    for (unsigned i = 0; i < files.certificates_count; i++) {
        files.certificates[i] = memory_copy_string(now->certificates[i]);
        files.keys[i] = memory_copy_string(now->keys[i]);
    }
    files.client_ca = now->client_ca ? memory_copy_string(now->client_ca) : NULL;
    enum http_tls_news news = HTTP_TLS_RELOADED;
    if (adopt(tls, &files, &own) == OK) {
        buffer_add_slice(&report->warnings, buffer_slice(&own.warnings));
    } else {
        files_done(&files);
        tls->rejections = are_same(stamps, tls->rejected) ? tls->rejections + 1 : 1;
        memcpy(tls->rejected, stamps, sizeof tls->rejected);
        news = tls->rejections < REJECTIONS_TO_REPORT ? HTTP_TLS_SAME : HTTP_TLS_REJECTED;
        if (news == HTTP_TLS_REJECTED)
            buffer_add_slice(&report->complaints, buffer_slice(&own.complaints));
    }
    http_tls_report_done(&own);
    return news;
}

enum http_tls_news http_tls_look(struct http_tls *tls, struct http_tls_report *report)
{
    struct stat stamps[TLS_FILES_MAX];
    take_stamps(&tls->files, stamps);
    bool was_reported = tls->rejections >= REJECTIONS_TO_REPORT && are_same(stamps, tls->rejected);
    if (!are_same(stamps, tls->files.stamps) && !was_reported)
        return read_again(tls, stamps, report);
    remind(tls, report);
    return HTTP_TLS_SAME;
}

bool http_tls_has_expired(struct http_tls *tls)
{
    SSL_CTX *context = http_tls_take_context(tls);
    bool expired = has_expired(context);
    SSL_CTX_free(context);
    return expired;
}

bool http_tls_has_name(struct http_tls *tls, struct slice host)
{
    SSL_CTX *context = http_tls_take_context(tls);
    bool found = host.len > 0 && tls_context_find(context, host.data, host.len) != NULL;
    SSL_CTX_free(context);
    return found;
}
