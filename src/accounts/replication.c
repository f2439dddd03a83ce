/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of objects, in memory. */
#include "accounts/replication.h"

const char *accounts_kind_name(enum accounts_kind kind)
{
    static const char *const names[ACCOUNTS_KINDS] = {[ACCOUNTS_KIND_PARTNER] = "partner",
        [ACCOUNTS_KIND_ACCOUNT] = "account",
        [ACCOUNTS_KIND_ENDPOINT] = "endpoint",
        [ACCOUNTS_KIND_CREDENTIAL] = "credential",
        [ACCOUNTS_KIND_GRANT] = "grant"};
    return (unsigned)kind < ACCOUNTS_KINDS ? names[kind] : "unknown";
}

static bool grow(struct accounts_page *page)
{
    size_t capacity = page->capacity ? page->capacity * 2 : 64;
    struct accounts_object *larger = realloc(page->objects, capacity * sizeof *larger);
    if (!larger)
        return false;
    page->objects = larger;
    page->capacity = capacity;
    return true;
}

struct accounts_object *accounts_page_add(struct accounts_page *page, enum accounts_kind kind)
{
    if (page->count == page->capacity && !grow(page))
        return NULL;
    struct accounts_object *object = &page->objects[page->count];
    *object = (struct accounts_object){.kind = kind};
    if (kind == ACCOUNTS_KIND_PARTNER && !(object->partner = calloc(1, sizeof *object->partner)))
        return NULL;
    if (kind == ACCOUNTS_KIND_ENDPOINT && !(object->endpoint = calloc(1, sizeof *object->endpoint)))
        return NULL;
    page->count++;
    return object;
}

void accounts_page_done(struct accounts_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        if (page->objects[i].kind == ACCOUNTS_KIND_PARTNER)
            free(page->objects[i].partner);
        if (page->objects[i].kind == ACCOUNTS_KIND_ENDPOINT)
            free(page->objects[i].endpoint);
    }
    free(page->objects);
    *page = (struct accounts_page){0};
}
