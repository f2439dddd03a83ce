/* SPDX-License-Identifier: Apache-2.0 */
#include "client/unprocessed.h"

#include "client/inflow.h"
#include "client/transfer.h"

#include <dlfcn.h>
#include <nghttp2/nghttp2.h>

/* libcurl links libnghttp2. Nothing of it is linked here. */
typedef void set_on_stream_close_fn(
    nghttp2_session_callbacks *callbacks, nghttp2_on_stream_close_callback on_stream_close);
typedef void *get_stream_user_data_fn(nghttp2_session *session, int32_t stream);

static _Atomic(nghttp2_on_stream_close_callback) libcurls_on_stream_close;

/* Returns the easy handle, which libcurl stores with each stream. NULL: it has been removed. */
static CURL *easy_of(nghttp2_session *session, int32_t stream)
{
    static _Atomic(get_stream_user_data_fn *) found;
    get_stream_user_data_fn *get = found;
    if (!get)
        found = get =
            (get_stream_user_data_fn *)dlsym(RTLD_DEFAULT, "nghttp2_session_get_stream_user_data");
    return get ? get(session, stream) : NULL;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *context)
{
    CURL *easy = error == NGHTTP2_REFUSED_STREAM ? easy_of(session, stream) : NULL;
    struct client_transfer *transfer = easy ? transfer_of(easy) : NULL;
    if (transfer)
        transfer->unprocessed = true;
    return libcurls_on_stream_close(session, stream, error, context);
}

/* libcurl calls it for each connection. Others in this process may call it for sessions of their
 * own. */
void nghttp2_session_callbacks_set_on_stream_close_callback(
    nghttp2_session_callbacks *callbacks, nghttp2_on_stream_close_callback callback)
{
    static _Atomic(set_on_stream_close_fn *) found;
    set_on_stream_close_fn *real = found;
    if (!real)
        found = real = (set_on_stream_close_fn *)dlsym(
            RTLD_NEXT, "nghttp2_session_callbacks_set_on_stream_close_callback");
    if (!inflow_is_libcurl()) {
        real(callbacks, callback);
        return;
    }
    libcurls_on_stream_close = callback;
    real(callbacks, on_stream_close);
}

bool unprocessed_is_proven(const struct client_transfer *transfer)
{
    return transfer->unprocessed && transfer->evidence.first_byte_mono_us == 0;
}

bool unprocessed_may_repeat(const struct client_transfer *transfer)
{
    const struct client_request *request = transfer->request;
    return unprocessed_is_proven(transfer) && !request->once &&
           request->unprocessed_sends < UNPROCESSED_SENDS_MAX;
}

bool unprocessed_is_seen(void)
{
    return dlsym(RTLD_DEFAULT, "nghttp2_session_callbacks_set_on_stream_close_callback") ==
           (void *)nghttp2_session_callbacks_set_on_stream_close_callback;
}
