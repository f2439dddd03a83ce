/* SPDX-License-Identifier: Apache-2.0 */
#include "load/post.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#define CENT_MICROS 10000
#define TOKEN_CHARACTERS "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
#define IN_BODY ((1u << TEMPLATE_FIELDS) - 1)
#define IN_HEAD (IN_BODY & ~(1u << FIELD_BODY | 1u << FIELD_FILLING))

/* Of our own headers: the client makes them. */
static const char *const reserved[] = {
    "connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"};

/* --- reading --- */

static bool complain(char *ret_complaint, const char *member, const char *problem)
{
    snprintf(ret_complaint, POST_COMPLAINT_BYTES, "%.128s: %.180s", member, problem);
    return false;
}

static const char *text_of(const json_t *root, const char *member, char *ret_complaint)
{
    const char *text = json_string_value(json_object_get(root, member));
    if (!text)
        complain(ret_complaint, member, "should be a text");
    return text;
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static bool read_method(const json_t *root, struct post *post, char *ret_complaint)
{
    const char *method = text_of(root, "method", ret_complaint);
    const char *http = text_of(root, "http", ret_complaint);
    if (!method || !http)
        return false;
    if (strcmp(method, "POST") != 0 && strcmp(method, "PUT") != 0 && strcmp(method, "PATCH") != 0)
        return complain(ret_complaint, "method", "should be POST, PUT or PATCH");
    if (strcmp(http, "1.1") != 0 && strcmp(http, "2") != 0)
        return complain(ret_complaint, "http", "should be 1.1 or 2");
    snprintf(post->method, sizeof post->method, "%s", method);
    post->is_http1 = strcmp(http, "1.1") == 0;
    return true;
}

static bool read_template(const char *member, const char *text, unsigned allowed,
    struct template *ret_template, char *ret_complaint)
{
    char problem[TEMPLATE_COMPLAINT_BYTES];
    if (template_compile(text, allowed, ret_template, problem))
        return true;
    return complain(ret_complaint, member, problem);
}

static bool read_path_and_body(const json_t *root, struct post *post, char *ret_complaint)
{
    const char *path = text_of(root, "path", ret_complaint);
    const char *body = text_of(root, "body", ret_complaint);
    if (!path || !body)
        return false;
    if (*path != '/' || !is_printable(path) || strchr(path, ' '))
        return complain(ret_complaint, "path", "should begin with / and have no blanks");
    return read_template("path", path, IN_HEAD, &post->path, ret_complaint) &&
           read_template("body", body, IN_BODY, &post->body, ret_complaint);
}

static bool read_header(const json_t *pair, struct post *post, char *ret_complaint)
{
    const char *name = json_string_value(json_array_get(pair, 0));
    const char *value = json_string_value(json_array_get(pair, 1));
    if (!name || !value)
        return complain(ret_complaint, "headers", "should be pairs of a name and a value");
    __auto_type header = &post->headers[post->headers_count];
    size_t len = strlen(name);
    if (len == 0 || len >= sizeof header->name)
        return complain(ret_complaint, "headers", "a name should have 1 to 127 characters");
    for (size_t i = 0; i <= len; i++)
        header->name[i] = (char)tolower((unsigned char)name[i]);
    if (strspn(header->name, TOKEN_CHARACTERS) != len)
        return complain(ret_complaint, name, "is not the name of a header");
    for (size_t i = 0; i < ARRAY_LENGTH(reserved); i++)
        if (strcmp(header->name, reserved[i]) == 0)
            return complain(ret_complaint, name, "is set by the generator: leave it out");
    if (!is_printable(value))
        return complain(ret_complaint, name, "should have printable characters only");
    return read_template(name, value, IN_HEAD, &header->value, ret_complaint) &&
           ++post->headers_count > 0;
}

static bool read_headers(const json_t *root, struct post *post, char *ret_complaint)
{
    const json_t *headers = json_object_get(root, "headers");
    if (!json_is_array(headers))
        return complain(ret_complaint, "headers", "should be an array");
    if (json_array_size(headers) > POST_HEADERS_MAX)
        return complain(ret_complaint, "headers", "should be at most 24");
    for (size_t i = 0; i < json_array_size(headers); i++)
        if (!read_header(json_array_get(headers, i), post, ret_complaint))
            return false;
    return true;
}

/* "200, 202-204"; an empty text is an empty set. */
static bool read_statuses(
    const json_t *root, const char *member, struct status_set *set, char *ret_complaint)
{
    struct slice rest = slice_from_string(text_of(root, member, ret_complaint));
    if (!rest.data)
        return false;
    while (rest.len > 0) {
        const char *comma = memchr(rest.data, ',', rest.len);
        size_t len = comma ? (size_t)(comma - rest.data) : rest.len;
        struct slice text = slice_of(rest.data, len);
        while (text.len > 0 && text.data[0] == ' ')
            text = slice_of(text.data + 1, text.len - 1);
        int first, last;
        if (!status_range_parse(text, &first, &last))
            return complain(ret_complaint, member, "should be statuses such as 200, 202-204");
        status_set_add(set, first, last);
        rest = slice_of(rest.data + len + (comma != NULL), rest.len - len - (comma != NULL));
    }
    return true;
}

static bool read_answer(const json_t *root, struct post *post, char *ret_complaint)
{
    const char *id = text_of(root, "id", ret_complaint);
    if (!id || !read_statuses(root, "accepted", &post->accepted, ret_complaint) ||
        !read_statuses(root, "duplicate", &post->duplicate, ret_complaint))
        return false;
    if (!selector_parse(id, &post->id) || post->id.kind == SELECTOR_BODY)
        return complain(ret_complaint, "id", "should be " SELECTOR_FORM " or none");
    return true;
}

static bool read_post(const json_t *root, struct post *post, char *ret_complaint)
{
    return read_method(root, post, ret_complaint) &&
           read_path_and_body(root, post, ret_complaint) &&
           read_headers(root, post, ret_complaint) && read_answer(root, post, ret_complaint);
}

struct post *post_read(const char *file, char ret_complaint[POST_COMPLAINT_BYTES])
{
    AUTO_FREE char *text = malloc(POST_FILE_BYTES_MAX + 1);
    struct post *post = calloc(1, sizeof *post);
    FILE *stream = fopen(file, "r");
    size_t len = stream && text ? fread(text, 1, POST_FILE_BYTES_MAX + 1, stream) : 0;
    json_error_t error = {.text = "it cannot be read, or has more than 256 KiB"};
    json_t *root = len > 0 && len <= POST_FILE_BYTES_MAX ? json_loadb(text, len, 0, &error) : NULL;
    if (stream)
        fclose(stream);
    bool right = post && root && read_post(root, post, ret_complaint);
    if (!root)
        complain(ret_complaint, file, error.text);
    json_decref(root);
    if (right)
        return post;
    post_free(post);
    return NULL;
}

void post_free(struct post *post)
{
    if (!post)
        return;
    template_done(&post->path);
    template_done(&post->body);
    for (unsigned i = 0; i < POST_HEADERS_MAX; i++)
        template_done(&post->headers[i].value);
    free(post);
}

/* --- making --- */

struct texts {
    char key[TEMPLATE_FIELD_BYTES_MAX], amount[TEMPLATE_FIELD_BYTES_MAX];
    char due[TEMPLATE_FIELD_BYTES_MAX];
    char lengthy[TEMPLATE_LONG_BYTES_MAX]; /* of {body} or {filling} */
};

_Static_assert(TEMPLATE_LONG_BYTES_MAX >= MIX_BODY_BYTES_MAX, "a body is one of the long fields");

static struct slice print(char text[TEMPLATE_FIELD_BYTES_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static struct slice print(char text[TEMPLATE_FIELD_BYTES_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, TEMPLATE_FIELD_BYTES_MAX, format, arguments);
    va_end(arguments);
    return slice_of(text, (size_t)len);
}

static void take_values(const struct mix *mix, const struct mix_event *event, int64_t due_us,
    struct texts *texts, struct template_values *values)
{
    int64_t cents = event->amount_micros / CENT_MICROS;
    values->of[FIELD_KEY] = print(texts->key, "%s-%" PRIu64, mix->run, event->original);
    values->of[FIELD_TYPE] = slice_from_string(mix->types[event->type].name);
    values->of[FIELD_ACCOUNT] = slice_from_string(mix->accounts[event->account]);
    values->of[FIELD_AMOUNT] =
        print(texts->amount, "%" PRId64 ".%02d", cents / 100, (int)(cents % 100));
    values->of[FIELD_CURRENCY] = slice_from_string(*event->currency ? event->currency : "EUR");
    values->of[FIELD_DUE_US] = print(texts->due, "%" PRId64, due_us);
}

static void add_part(struct post_head *head, unsigned part, const struct template *template,
    const struct template_values *values)
{
    template_render(template, values, &head->text);
    head->ends[part] = (uint32_t)head->text.len;
}

void post_make(const struct post *post, const struct mix *mix, const struct mix_event *event,
    int64_t due_us, struct post_head *head, struct buffer *body)
{
    static _Thread_local struct texts texts;
    struct template_values values;
    take_values(mix, event, due_us, &texts, &values);
    if (template_has(&post->body, FIELD_BODY))
        values.of[FIELD_BODY] = slice_of(texts.lengthy, mix_body(mix, event, texts.lengthy));
    if (template_has(&post->body, FIELD_FILLING)) {
        size_t wanted = mix_body_size(mix, event);
        size_t bare = template_bare_length(&post->body, &values);
        size_t len = wanted > bare ? wanted - bare : 0;
        mix_fill(mix, event, texts.lengthy, len);
        values.of[FIELD_FILLING] = slice_of(texts.lengthy, len);
    }
    buffer_clear(body);
    template_render(&post->body, &values, body);
    buffer_clear(&head->text);
    add_part(head, 0, &post->path, &values);
    for (unsigned i = 0; i < post->headers_count; i++)
        add_part(head, i + 1, &post->headers[i].value, &values);
}

struct slice post_head_part(const struct post_head *head, unsigned part)
{
    uint32_t begin = part == 0 ? 0 : head->ends[part - 1];
    return slice_of(head->text.data + begin, head->ends[part] - begin);
}
