/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes etc/api/openapi.yaml part of the program. It runs while Penstock is built, and writes a C
 * file with two JSON texts (src/http/openapi.h):
 *
 *   all        the whole document
 *   partners   the part for partners and clients: the operations whose tag has `x-partners`, and
 *              the components that these use
 *
 *   document openapi.yaml OUT.c
 *
 * It knows the YAML of that one file: mappings with texts as names, lists, scalars and aliases. A
 * scalar without quotes is null, a truth value or a number if it looks like one in JSON. It ends
 * with an error if a reference leads nowhere.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define REF_PREFIX "#/components/"

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "document: %s: %s\n", what, detail);
    exit(EXIT_FAILURE);
}

/* From YAML to JSON. */

static json_t *plain_scalar(const char *text)
{
    char *end;
    if (!*text || strcmp(text, "null") == 0)
        return json_null();
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_boolean(*text == 't');
    if (strspn(text, "-.0123456789") != strlen(text))
        return json_string(text);
    long long integer = strtoll(text, &end, 10);
    if (!*end)
        return json_integer(integer);
    double real = strtod(text, &end);
    return *end ? json_string(text) : json_real(real);
}

static json_t *value_of(yaml_document_t *document, int number);

static json_t *mapping_of(yaml_document_t *document, const yaml_node_t *node)
{
    json_t *object = json_object();
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const char *name =
            (const char *)yaml_document_get_node(document, pair->key)->data.scalar.value;
        if (json_object_get(object, name))
            fail("a name occurs twice", name);
        json_object_set_new(object, name, value_of(document, pair->value));
    }
    return object;
}

static json_t *value_of(yaml_document_t *document, int number)
{
    const yaml_node_t *node = yaml_document_get_node(document, number);
    if (node->type == YAML_MAPPING_NODE)
        return mapping_of(document, node);
    if (node->type == YAML_SCALAR_NODE) {
        const char *text = (const char *)node->data.scalar.value;
        return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_scalar(text)
                                                                  : json_string(text);
    }
    json_t *list = json_array();
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++)
        json_array_append_new(list, value_of(document, *item));
    return list;
}

static json_t *read_document(const char *path)
{
    yaml_parser_t parser;
    yaml_document_t document;
    FILE *file = fopen(path, "r");
    if (!file)
        fail("cannot be read", path);
    yaml_parser_initialize(&parser);
    yaml_parser_set_input_file(&parser, file);
    if (!yaml_parser_load(&parser, &document) || !yaml_document_get_root_node(&document)) {
        fprintf(stderr, "%s:%zu: %s\n", path, parser.problem_mark.line + 1,
            parser.problem ? parser.problem : "there is no document");
        exit(EXIT_FAILURE);
    }
    json_t *value = value_of(&document, 1);
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    fclose(file);
    return value;
}

/* The part for partners. */

static bool is_for_partners(const json_t *tags, const json_t *operation)
{
    const char *wanted = json_string_value(json_array_get(json_object_get(operation, "tags"), 0));
    const json_t *tag;
    size_t i;
    json_array_foreach(tags, i, tag)
    {
        if (wanted && strcmp(json_string_value(json_object_get(tag, "name")), wanted) == 0)
            return json_is_true(json_object_get(tag, "x-partners"));
    }
    return false;
}

/* Removes the operations of others, and then the paths without an operation. */
static void keep_operations(const json_t *tags, json_t *paths)
{
    const char *path, *method;
    json_t *item, *operation;
    void *next_item, *next_operation;
    json_object_foreach_safe(paths, next_item, path, item)
    {
        bool is_used = false;
        json_object_foreach_safe(item, next_operation, method, operation)
        {
            if (!json_object_get(operation, "operationId"))
                continue;
            if (is_for_partners(tags, operation))
                is_used = true;
            else
                json_object_del(item, method);
        }
        if (!is_used)
            json_object_del(paths, path);
    }
}

static void keep_tags(json_t *tags)
{
    for (size_t i = json_array_size(tags); i-- > 0;)
        if (!json_is_true(json_object_get(json_array_get(tags, i), "x-partners")))
            json_array_remove(tags, i);
}

/* Moves one component from `from` to `into`. Returns whether it was not there yet. */
static bool use(const json_t *from, json_t *into, const char *kind, const char *name)
{
    json_t *component = json_object_get(json_object_get(from, kind), name);
    json_t *used = json_object_get(into, kind);
    if (!component)
        fail("there is no such component", name);
    if (!used)
        json_object_set_new(into, kind, used = json_object());
    if (json_object_get(used, name))
        return false;
    json_object_set(used, name, component);
    return true;
}

static void use_all(const json_t *from, json_t *into, const json_t *value);

static void use_reference(const json_t *from, json_t *into, const char *reference)
{
    char kind[64];
    size_t prefix = sizeof REF_PREFIX - 1;
    const char *name = strrchr(reference, '/');
    if (strncmp(reference, REF_PREFIX, prefix) != 0)
        fail("not a reference to a component", reference);
    snprintf(
        kind, sizeof kind, "%.*s", (int)(name - reference - (ptrdiff_t)prefix), reference + prefix);
    if (use(from, into, kind, name + 1))
        use_all(from, into, json_object_get(json_object_get(from, kind), name + 1));
}

static void use_schemes(const json_t *from, json_t *into, const json_t *security)
{
    const json_t *alternative;
    size_t i;
    json_array_foreach(security, i, alternative)
    {
        for (void *it = json_object_iter((json_t *)alternative); it;
             it = json_object_iter_next((json_t *)alternative, it))
            use(from, into, "securitySchemes", json_object_iter_key(it));
    }
}

/* The components that a value refers to, with theirs. */
static void use_all(const json_t *from, json_t *into, const json_t *value)
{
    const json_t *item;
    size_t i;
    json_array_foreach(value, i, item) use_all(from, into, item);
    for (void *it = json_is_object(value) ? json_object_iter((json_t *)value) : NULL; it;
         it = json_object_iter_next((json_t *)value, it)) {
        const char *name = json_object_iter_key(it);
        json_t *member = json_object_iter_value(it);
        if (strcmp(name, "$ref") == 0)
            use_reference(from, into, json_string_value(member));
        else if (strcmp(name, "security") == 0)
            use_schemes(from, into, member);
        else
            use_all(from, into, member);
    }
}

static json_t *part_for_partners(const json_t *all)
{
    json_t *part = json_deep_copy(all), *components = json_object();
    json_t *tags = json_object_get(part, "tags");
    keep_operations(tags, json_object_get(part, "paths"));
    keep_operations(tags, json_object_get(part, "webhooks"));
    keep_tags(tags);
    json_object_del(part, "components");
    use_all(json_object_get(all, "components"), components, part);
    json_object_set_new(part, "components", components);
    return part;
}

/* The C file. */

static void print_text(FILE *out, const char *name, const json_t *document)
{
    char *text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fprintf(out, "const char %s[] =", name);
    for (size_t i = 0; text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if (i % 80 == 0)
            fprintf(out, "%s\n    \"", i ? "\"" : "");
        if (c == '"' || c == '\\' || c == '?')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(out, "\\%03o", c);
        else
            fputc(c, out);
    }
    fprintf(out, "\";\nconst size_t %s_len = %zu;\n\n", name, strlen(text));
    free(text);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail("usage", "document openapi.yaml OUT.c");
    json_t *all = read_document(argv[1]);
    json_object_del(all, "x-servers"); /* only for the aliases of the YAML */
    json_t *partners = part_for_partners(all), *used = json_object();
    use_all(json_object_get(all, "components"), used, all); /* checks the references */
    FILE *out = fopen(argv[2], "w");
    if (!out)
        fail("cannot be written", argv[2]);
    fprintf(out, "/* Made of etc/api/openapi.yaml by etc/api/document.c. */\n"
                 "#include \"http/openapi.h\"\n\n");
    print_text(out, "openapi_all", all);
    print_text(out, "openapi_partners", partners);
    if (fclose(out) != 0)
        fail("cannot be written", argv[2]);
    json_decref(all);
    json_decref(partners);
    json_decref(used);
    return EXIT_SUCCESS;
}
