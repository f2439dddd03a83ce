/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a gateway (LD_PRELOAD): its HTTP/2 library prints a hundred lines on stderr each
 * time that it reads, on the thread of the loop. */
#include <dlfcn.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>

ssize_t nghttp2_session_mem_recv(nghttp2_session *session, const uint8_t *bytes, size_t len)
{
    typedef ssize_t recv_fn(nghttp2_session *, const uint8_t *, size_t);
    static recv_fn *real;
    if (!real)
        real = (recv_fn *)dlsym(RTLD_NEXT, "nghttp2_session_mem_recv");
    for (int i = 0; i < 100; i++)
        fprintf(stderr, "a noisy library\n");
    return real(session, bytes, len);
}
