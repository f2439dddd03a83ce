/* SPDX-License-Identifier: Apache-2.0 */
#include "client/call.h"

#include <curl/curl.h>
#include <stdio.h>

#define ANSWER_BYTES_MAX (16 * 1024 * 1024)
#define TIMEOUT_S 30L

struct answer {
    struct buffer *body;
    size_t bytes_max;
    bool too_large;
};

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct answer *answer = context;
    answer->too_large = answer->body->len + size * count > answer->bytes_max;
    if (answer->too_large)
        return 0; /* ends the transfer */
    buffer_add(answer->body, data, size * count);
    return size * count;
}

static int on_progress(
    void *context, curl_off_t all, curl_off_t done, curl_off_t up_all, curl_off_t up)
{
    const struct client_call *call = context;
    return call->on_wait(call->context) ? 0 : 1; /* 1 aborts the transfer */
}

static void watch(CURL *curl, const struct client_call *call)
{
    if (!call->on_wait)
        return;
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)call);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* does not wait for a running name look-up */
}

enum err client_call(const struct client_call *call, int *ret_status, struct buffer *body)
{
    CURL *curl = curl_easy_init();
    struct buffer authorization = BUFFER_EMPTY;
    buffer_add_format(&authorization, "Authorization: Bearer %s", call->bearer_token);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct answer answer = {.body = body,
        .bytes_max = call->answer_bytes_max ? call->answer_bytes_max : ANSWER_BYTES_MAX};
    enum err result = ERR_NO_MEMORY;
    if (!curl || !headers || buffer_status(&authorization) != OK ||
        !curl_slist_append(headers, authorization.data)) {
        goto out;
    }
    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, call->timeout_s ? call->timeout_s : TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    if (call->ca_file && *call->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* otherwise its CAs are trusted as well */
    }
    watch(curl, call);
    if (call->json.len) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)call->json.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->json.data);
    }
    result = ERR_UNAVAILABLE;
    CURLcode code = curl_easy_perform(curl);
    if (answer.too_large)
        result = ERR_TOO_LARGE;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        result = ERR_CANCELLED;
    if (code == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        *ret_status = (int)status;
        result = buffer_status(body);
    }
out:
    curl_slist_free_all(headers);
    buffer_done(&authorization);
    curl_easy_cleanup(curl);
    return result;
}
