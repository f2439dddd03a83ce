/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of an answer that are known before the answer is. Few, so they are a list. */
#include "http/http_internal.h"

#include "base/memory.h"

#include <stdlib.h>

void http_set_header(struct http_exchange *exchange, const char *name, const char *value)
{
    size_t size = strlen(value) + 1;
    for (struct http_set_header **at = &exchange->set_headers; *at; at = &(*at)->next)
        if (strcmp((*at)->name, name) == 0) {
            struct http_set_header *old = *at;
            *at = old->next;
            free(old);
            break;
        }
    struct http_set_header *set = memory_new_raw(sizeof *set + size);
    *set = (struct http_set_header){.next = exchange->set_headers, .name = name};
    memcpy(set->value, value, size);
    exchange->set_headers = set;
}

bool http_has_set_header(const struct http_exchange *exchange, const char *name)
{
    for (const struct http_set_header *set = exchange->set_headers; set; set = set->next)
        if (strcmp(set->name, name) == 0)
            return true;
    return false;
}

void http_set_headers_free(struct http_exchange *exchange)
{
    while (exchange->set_headers) {
        struct http_set_header *next = exchange->set_headers->next;
        free(exchange->set_headers);
        exchange->set_headers = next;
    }
}
