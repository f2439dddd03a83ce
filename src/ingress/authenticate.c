/* SPDX-License-Identifier: Apache-2.0 */
/* `Authorization: Bearer pk_...`: the directory knows keys by their SHA-256 only, so that a look-up
 * is all the comparison there is. */
#include "ingress/ingress_internal.h"

#include <strings.h>

const struct partner *ingress_authenticate(struct ingress *ingress, struct http_exchange *exchange)
{
    static const char scheme[] = "Bearer ";
    struct slice header = http_header(exchange, "authorization");
    if (header.len <= sizeof scheme - 1 ||
        strncasecmp(header.data, scheme, sizeof scheme - 1) != 0) {
        http_answer_problem(exchange, ERR_UNAUTHENTICATED,
            "Send your API key as \"Authorization: Bearer pk_...\".", NULL);
        return NULL;
    }
    unsigned char digest[SHA256_BYTES];
    crypto_sha256(
        slice_of(header.data + sizeof scheme - 1, header.len - (sizeof scheme - 1)), digest);
    const struct partner *partner =
        directory_partner_of_credential(ingress->options.directory, digest);
    if (!partner || !partner->enabled) {
        http_answer_problem(
            exchange, ERR_UNAUTHENTICATED, "The API key is unknown or revoked.", NULL);
        return NULL;
    }
    return partner;
}
