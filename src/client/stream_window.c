/* SPDX-License-Identifier: Apache-2.0 */
#include "client/stream_window.h"

#include "client/inflow.h"

#include <dlfcn.h>
#include <nghttp2/nghttp2.h>
#include <string.h>

/* As many as libcurl and RFC 9113 have, and some more. */
#define ENTRIES_MAX 16

typedef int submit_settings_fn(
    nghttp2_session *session, uint8_t flags, const nghttp2_settings_entry *entries, size_t count);

int nghttp2_submit_settings(
    nghttp2_session *session, uint8_t flags, const nghttp2_settings_entry *entries, size_t count)
{
    static _Atomic(submit_settings_fn *) found;
    submit_settings_fn *real = found;
    nghttp2_settings_entry changed[ENTRIES_MAX];
    if (!real)
        found = real = (submit_settings_fn *)dlsym(RTLD_NEXT, "nghttp2_submit_settings");
    if (!inflow_is_libcurl() || count == 0 || count > ENTRIES_MAX)
        return real(session, flags, entries, count);
    memcpy(changed, entries, count * sizeof *entries);
    for (size_t i = 0; i < count; i++)
        if (changed[i].settings_id == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE &&
            changed[i].value > STREAM_WINDOW_BYTES)
            changed[i].value = STREAM_WINDOW_BYTES;
    return real(session, flags, changed, count);
}

bool stream_window_is_seen(void)
{
    return dlsym(RTLD_DEFAULT, "nghttp2_submit_settings") == (void *)nghttp2_submit_settings;
}
