/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/poison: messages of the broker that are no events, with their bytes: as text (`body`)
 * where they are UTF-8, else in base64 (`body_base64`). */
#include "admin/admin_internal.h"

#include "base/crypto.h"
#include "history/listing.h"

#include <stdlib.h>

#define LIMIT_USUAL 100

struct wanted {
    struct journal_list_poison list;
    struct http_exchange *exchange;
};

/* NULL when it is no text, or there is no memory: what comes of the latter is refused as a whole.
 * */
static json_t *base64_text(struct slice bytes)
{
    char *text = malloc(BASE64_BYTES(bytes.len));
    if (!text)
        return NULL;
    json_t *string = json_stringn(text, base64_encode(bytes, false, text));
    free(text);
    return string;
}

static bool add_body(json_t *view, struct slice body)
{
    json_t *text = json_stringn(body.len ? body.data : "", body.len);
    return text ? json_object_set_new(view, "body", text) == 0
                : json_object_set_new(view, "body_base64", base64_text(body)) == 0;
}

static json_t *poison_view(const struct listed_poison *poison)
{
    json_t *headers =
        poison->headers_len ? json_loadb(poison->bytes, poison->headers_len, 0, NULL) : NULL;
    json_t *message_id = *poison->message_id ? json_string(poison->message_id) : NULL;
    json_t *view = json_pack("{s:s, s:s, s:o, s:o?, s:o?, s:I}", "queue", poison->queue, "reason",
        poison->reason, "at", admin_time(poison->at_us), "message_id", message_id, "headers",
        headers, "bytes", (json_int_t)poison->body_bytes);
    if (!view || !add_body(view, slice_of(poison->bytes + poison->headers_len, poison->body_len))) {
        json_decref(view);
        return NULL;
    }
    if (poison->body_bytes > poison->body_len)
        json_object_set_new(view, "cut", json_true());
    if (poison->damaged)
        json_object_set_new(view, "damaged", json_true());
    return view;
}

static json_t *items_view(const struct journal_list_poison *list)
{
    json_t *items = json_array();
    for (unsigned i = 0; i < list->page.ret_count; i++) {
        if (json_array_append_new(items, poison_view(&list->ret_poison[i])) != 0) {
            json_decref(items);
            return NULL;
        }
    }
    return items;
}

static void on_listed(struct request *request, void *receiver)
{
    struct wanted *wanted = CONTAINER_OF(request, struct wanted, list.page.request);
    admin_answer_page(wanted->exchange, &wanted->list.page, "poison",
        request->result ? NULL : items_view(&wanted->list), NULL);
    journal_list_poison_done(&wanted->list);
    free(wanted);
}

static bool take_filter(struct http_exchange *exchange, struct journal_list_poison *list)
{
    enum { LIMIT, CURSOR, PARAMETERS };
    struct admin_parameter parameters[PARAMETERS + 1] = {{"limit"}, {"cursor"}};
    return admin_take_parameters(exchange, parameters) &&
           admin_take_limit(exchange, &parameters[LIMIT], &list->page.count_max) &&
           admin_take_cursor(exchange, &parameters[CURSOR], &list->page.cursor);
}

void admin_list_poison(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct journal_list_poison list = {.page = {.count_max = LIMIT_USUAL}};
    if (!admin_authenticate(admin, exchange) || !take_filter(exchange, &list))
        return;
    struct wanted *wanted = malloc(sizeof *wanted);
    if (!wanted) {
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
        return;
    }
    *wanted = (struct wanted){.list = list, .exchange = exchange};
    wanted->list.page.request.reply_to = &admin->mailbox;
    wanted->list.page.request.on_done = on_listed;
    journal_reader_list_poison(admin->options.reader, &wanted->list);
}
