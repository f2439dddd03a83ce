/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is read twice. First its events: they alone show anchors, tags and further documents,
 * which a configuration has no use for and which are refused, and they show where the syntax is
 * broken. Then its tree, whose nodes carry line and column: a mapping of sections to mappings of
 * names to values, and of the few options that have no section.
 */
#include "config/config_file.h"

#include "base/cleanup.h"
#include "config/value.h"

#include <errno.h>
#include <stdio.h>
#include <yaml.h>

struct reading {
    const char *file;
    struct slice text;
    struct config *config;
    struct complaints *complaints;
    yaml_document_t *document;
    bool seen[OPTION_COUNT];
};

static struct complaint_place place_at(
    const struct reading *reading, yaml_mark_t mark, const char *subject)
{
    return (struct complaint_place){.file = reading->file,
        .line = mark.line + 1,
        .column = mark.column + 1,
        .subject = subject};
}

static void complain_at(const struct reading *reading, yaml_mark_t mark, const char *what)
{
    struct complaint_place place = place_at(reading, mark, NULL);
    complaint_add(reading->complaints, &place, "%s", what);
}

static bool read_file(const char *file, struct buffer *text, struct complaints *complaints)
{
    struct complaint_place place = {.file = file};
    FILE *stream = fopen(file, "re");
    if (!stream) {
        complaint_add(complaints, &place, "cannot be opened: %s", strerror(errno));
        return false;
    }
    char piece[8192];
    size_t len;
    while (text->len <= CONFIG_FILE_BYTES_MAX && (len = fread(piece, 1, sizeof piece, stream)) > 0)
        buffer_add(text, piece, len);
    int error = ferror(stream) ? errno : 0;
    fclose(stream);
    if (error)
        complaint_add(complaints, &place, "cannot be read: %s", strerror(error));
    else if (text->len > CONFIG_FILE_BYTES_MAX)
        complaint_add(complaints, &place, "is larger than %d bytes: choose a configuration file",
            CONFIG_FILE_BYTES_MAX);
    else if (text->failed)
        complaint_add(complaints, &place, "out of memory");
    else
        return true;
    return false;
}

/* Errors of the reader (a byte that is not UTF-8) carry an offset only. */
static yaml_mark_t mark_of_offset(struct slice text, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < offset && i < text.len; i++) {
        mark.column++;
        if (text.data[i] == '\n') {
            mark.line++;
            mark.column = 0;
        }
    }
    return mark;
}

static void complain_of_syntax(const struct reading *reading, const yaml_parser_t *parser)
{
    const char *problem = parser->problem ? parser->problem : "out of memory";
    const char *context = parser->context ? parser->context : "";
    bool in_reader = parser->error == YAML_READER_ERROR;
    yaml_mark_t mark =
        in_reader ? mark_of_offset(reading->text, parser->problem_offset) : parser->problem_mark;
    struct complaint_place place = place_at(reading, mark, NULL);
    /* An address such as *:8080 is the most likely cause. */
    const char *hint =
        strstr(context, "alias") ? ": put a value that begins with * into quotes" : "";
    complaint_add(reading->complaints, &place, "not valid YAML: %s%s%s%s", problem,
        *context ? " " : "", context, hint);
}

static void refuse_extras(struct reading *reading, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        complain_at(reading, event->start_mark,
            "aliases (*name) are not supported: put a value that begins with * into "
            "quotes");
        break;
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        complain_at(reading, event->start_mark,
            "anchors (&name) are not supported: write the value itself");
    if (tag)
        complain_at(reading, event->start_mark, "tags (!name) are not supported: remove the tag");
}

static void start_parser(yaml_parser_t *parser, const struct reading *reading)
{
    yaml_parser_set_input_string(
        parser, (const unsigned char *)reading->text.data, reading->text.len);
}

/* False when the syntax is broken, so that there is no tree. */
static bool check_events(struct reading *reading)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return false;
    start_parser(&parser, reading);
    bool sound = true;
    int documents = 0;
    for (bool ended = false; sound && !ended;) {
        yaml_event_t event;
        sound = yaml_parser_parse(&parser, &event);
        if (!sound) {
            complain_of_syntax(reading, &parser);
            break;
        }
        refuse_extras(reading, &event);
        if (event.type == YAML_DOCUMENT_START_EVENT && ++documents == 2)
            complain_at(reading, event.start_mark, "a second document is not allowed: remove it");
        ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return sound;
}

static struct slice scalar_text(const yaml_node_t *node)
{
    return slice_of(node->data.scalar.value, node->data.scalar.length);
}

/* `name:` without a value. */
static bool is_empty_plain(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0 &&
           node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_null_word(const yaml_node_t *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
        if (slice_equals_string(scalar_text(node), words[i]))
            return true;
    return false;
}

static void take_list(struct reading *reading, const struct option *option, const yaml_node_t *node,
    const struct complaint_place *place)
{
    size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    struct value_item items[VALUE_ITEMS_MAX];
    for (size_t i = 0; i < count && i < VALUE_ITEMS_MAX; i++) {
        const yaml_node_t *item =
            yaml_document_get_node(reading->document, node->data.sequence.items.start[i]);
        if (item->type != YAML_SCALAR_NODE) {
            struct complaint_place item_place = place_at(reading, item->start_mark, option->key);
            complaint_add(
                reading->complaints, &item_place, "must be a plain value, not a list or a mapping");
            return;
        }
        items[i] = (struct value_item){.text = scalar_text(item),
            .line = item->start_mark.line + 1,
            .column = item->start_mark.column + 1};
    }
    value_set_list(option, items, count, reading->config, place, reading->complaints);
}

static void take_value(
    struct reading *reading, const struct option *option, const yaml_node_t *node)
{
    struct complaint_place place = place_at(reading, node->start_mark, option->key);
    if (is_null_word(node)) {
        complaint_add(reading->complaints, &place,
            "has no value: remove the line for the default, or write \"\" for an empty text");
    } else if (node->type == YAML_SCALAR_NODE) {
        value_set(option, scalar_text(node), reading->config, &place, reading->complaints);
    } else if (node->type == YAML_SEQUENCE_NODE && value_is_list(option)) {
        take_list(reading, option, node, &place);
    } else {
        struct buffer rule = BUFFER_EMPTY;
        value_write_rule(option, &rule);
        complaint_add(reading->complaints, &place, "%s, but is a %s",
            rule.data ? rule.data : "is wrong",
            node->type == YAML_SEQUENCE_NODE ? "list" : "mapping");
        buffer_done(&rule);
    }
}

static void take_option(
    struct reading *reading, const struct option *option, const yaml_node_pair_t *pair)
{
    const yaml_node_t *name = yaml_document_get_node(reading->document, pair->key);
    if (reading->seen[option - option_rows]) {
        struct complaint_place place = place_at(reading, name->start_mark, option->key);
        complaint_add(reading->complaints, &place, "is set twice: remove one");
        return;
    }
    reading->seen[option - option_rows] = true;
    const yaml_node_t *value = yaml_document_get_node(reading->document, pair->value);
    reading->complaints->sources[option - option_rows] = (struct complaint_source){
        .line = value->start_mark.line + 1, .column = value->start_mark.column + 1};
    take_value(reading, option, value);
}

/* One `name: value` of a section. */
static void take_pair(struct reading *reading, struct slice section, const yaml_node_pair_t *pair)
{
    const yaml_node_t *name = yaml_document_get_node(reading->document, pair->key);
    if (name->type != YAML_SCALAR_NODE) {
        complain_at(reading, name->start_mark, "the name of an option is expected here");
        return;
    }
    struct buffer key = BUFFER_EMPTY;
    buffer_add_format(&key, "%.*s.", SLICE_ARGS(section));
    buffer_add_slice(&key, scalar_text(name));
    const struct option *option = option_find(buffer_slice(&key), OPTION_FORM_KEY);
    if (!option) {
        struct complaint_place place = place_at(reading, name->start_mark, NULL);
        option_complain_unknown(buffer_slice(&key), OPTION_FORM_KEY, &place, reading->complaints);
    } else {
        take_option(reading, option, pair);
    }
    buffer_done(&key);
}

/* Whether an earlier pair of the mapping has the same name. */
static bool is_repeated(
    const struct reading *reading, const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
    struct slice name = scalar_text(yaml_document_get_node(reading->document, pair->key));
    for (const yaml_node_pair_t *earlier = mapping->data.mapping.pairs.start; earlier != pair;
         earlier++) {
        const yaml_node_t *node = yaml_document_get_node(reading->document, earlier->key);
        if (node->type == YAML_SCALAR_NODE && slice_equal(scalar_text(node), name))
            return true;
    }
    return false;
}

static void take_section(
    struct reading *reading, const yaml_node_t *root, const yaml_node_pair_t *pair)
{
    const yaml_node_t *name = yaml_document_get_node(reading->document, pair->key);
    const yaml_node_t *content = yaml_document_get_node(reading->document, pair->value);
    if (name->type != YAML_SCALAR_NODE) {
        complain_at(reading, name->start_mark, "the name of a section is expected here");
        return;
    }
    const struct option *first = option_find(scalar_text(name), OPTION_FORM_SECTION);
    if (!first) {
        struct complaint_place unknown_place = place_at(reading, name->start_mark, NULL);
        option_complain_unknown(
            scalar_text(name), OPTION_FORM_SECTION, &unknown_place, reading->complaints);
        return;
    }
    if (!option_has_section(first)) {
        take_option(reading, first, pair);
        return;
    }
    char section[OPTION_NAME_BYTES];
    option_write_name(first, OPTION_FORM_SECTION, section);
    struct complaint_place place = place_at(reading, name->start_mark, section);
    if (is_repeated(reading, root, pair))
        complaint_add(reading->complaints, &place, "the section occurs twice: merge the two");
    if (content->type == YAML_MAPPING_NODE) {
        for (yaml_node_pair_t *at = content->data.mapping.pairs.start;
             at != content->data.mapping.pairs.top; at++)
            take_pair(reading, scalar_text(name), at);
    } else if (!is_empty_plain(content)) {
        place = place_at(reading, content->start_mark, section);
        complaint_add(
            reading->complaints, &place, "a section must have lines of the form \"name: value\"");
    }
}

static void take_tree(struct reading *reading)
{
    const yaml_node_t *root = yaml_document_get_root_node(reading->document);
    if (!root || is_empty_plain(root))
        return;
    reading->complaints->file_has_content = true;
    if (root->type != YAML_MAPPING_NODE) {
        complain_at(reading, root->start_mark, "sections are expected here, such as \"ingress:\"");
        return;
    }
    for (yaml_node_pair_t *at = root->data.mapping.pairs.start; at != root->data.mapping.pairs.top;
         at++)
        take_section(reading, root, at);
}

static void load_tree(struct reading *reading)
{
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser))
        return;
    start_parser(&parser, reading);
    if (yaml_parser_load(&parser, &document)) {
        reading->document = &document;
        take_tree(reading);
        yaml_document_delete(&document);
        reading->document = NULL;
    } else if (reading->complaints->count == 0) {
        /* Otherwise it is an alias without an anchor: a complaint exists. */
        complain_of_syntax(reading, &parser);
    }
    yaml_parser_delete(&parser);
}

void config_file_load(const char *file, struct config *config, struct complaints *complaints)
{
    struct buffer text = BUFFER_EMPTY;
    struct reading reading = {.file = file, .config = config, .complaints = complaints};
    if (read_file(file, &text, complaints)) {
        reading.text = slice_of(text.data ? text.data : "", text.len);
        if (check_events(&reading))
            load_tree(&reading);
    }
    buffer_done(&text);
}
