/* SPDX-License-Identifier: Apache-2.0 */
#include "http/framing.h"

#include <string.h>

#define LENGTH_DIGITS_MAX 18
#define CHUNK_SIZE_DIGITS_MAX 15
#define CHUNK_LINE_BYTES_MAX 1024
#define TRAILER_BYTES_MAX 8192
#define EXTENSION_BYTES_MAX 4096 /* of all chunks of a body */
#define SMALL_CHUNK_BYTES 16
#define SMALL_CHUNKS_MAX 8192 /* of a body */

enum state {
    START, /* an empty line is allowed: old clients send one after a body */
    START_LF,
    METHOD_FIRST,
    METHOD,
    TARGET_FIRST,
    TARGET,
    VERSION,
    REQUEST_CR,
    REQUEST_LF,
    FIELD_FIRST,
    FIELD_NAME,
    FIELD_VALUE,
    FIELD_LF,
    HEAD_LF,
    BODY,
    CHUNK_FIRST, /* this state and the next ones are those of a chunked body */
    CHUNK_SIZE,
    EXTENSION_FIRST, /* of a chunk: ";name", ";name=value" or ";name=\"value\"", without blanks */
    EXTENSION_NAME,
    EXTENSION_VALUE_FIRST,
    EXTENSION_VALUE,
    EXTENSION_QUOTED,
    EXTENSION_QUOTED_END,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_CR,
    CHUNK_LF,
    TRAILER_FIRST,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    TRAILER_END_LF,
    COMPLETE,
};

enum header { HEADER_OTHER = 0, HEADER_HOST = 1, HEADER_LENGTH = 2, HEADER_ENCODING = 4 };

static const char bare[] = "A line must end with CR LF.";
static const char bad_line[] =
    "The request line must be METHOD TARGET HTTP/1.1, with single spaces.";
static const char bad_name[] = "A header name may have only letters, digits and - _ . and similar "
                               "signs, with a colon directly "
                               "after it.";
static const char bad_value[] = "A header value must not have control characters.";
static const char folded[] = "A header must not be continued on another line.";
static const char bad_length[] = "Content-Length must be a number.";
static const char bad_encoding[] = "Transfer-Encoding must be chunked.";
static const char bad_host[] = "Host must be one name and an optional port.";
static const char bad_chunk[] = "A chunk must begin with its size in hexadecimal digits and CR LF.";
static const char small_chunks[] = "The body has too many chunks of a few bytes. Send larger ones.";
static const char bad_chunk_end[] = "The data of a chunk must be followed by CR LF.";
static const char bad_extension[] = "The extension of a chunk must have the form ;NAME or "
                                    ";NAME=VALUE, and at most 1 KB (4 KB in all).";
static const char bad_trailer[] =
    "A trailer must have the form NAME: VALUE. All trailers together have at most 8 KB.";
static const char late_header[] =
    "Host, Content-Length and Transfer-Encoding must not be sent as trailers.";
static const char tab[] =
    "Host, Content-Length and Transfer-Encoding must not have tabs in their values.";

#define IS_TOKEN 1
#define IS_VALUE 2  /* of a field or an extension: everything except control characters */
#define IS_TARGET 4 /* the same without blanks */
#define IS_HOST 8

/* RFC 9110 sections 5.5 and 5.6.2. obs-text is allowed. */
static uint8_t classes[256];

__attribute__((constructor)) static void make_classes(void)
{
    for (unsigned c = 0; c < 256; c++) {
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (is_alnum || (c && c < 128 && strchr("!#$%&'*+-.^_`|~", (int)c)))
            classes[c] |= IS_TOKEN;
        if (c == '\t' || (c >= ' ' && c != 0x7f))
            classes[c] |= IS_VALUE;
        if (c > ' ' && c != 0x7f)
            classes[c] |= IS_TARGET;
        if (is_alnum || (c && c < 128 && strchr("-._~%!$&'()*+;=:[]", (int)c)))
            classes[c] |= IS_HOST;
    }
}

static bool is(char byte, unsigned class)
{
    return classes[(unsigned char)byte] & class;
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static void begin_field(struct framing *framing)
{
    framing->name_len = 0;
    framing->has_digits = framing->is_blank = false;
    framing->matched = 0;
}

static void add_to_name(struct framing *framing, char byte)
{
    if (framing->name_len < sizeof framing->name)
        framing->name[framing->name_len++] =
            (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
}

static bool has_name(const struct framing *framing, const char *name, size_t len)
{
    return framing->name_len == len && memcmp(framing->name, name, len) == 0;
}

static enum header header_of_name(const struct framing *framing)
{
    return has_name(framing, "host", 4)                 ? HEADER_HOST
           : has_name(framing, "content-length", 14)    ? HEADER_LENGTH
           : has_name(framing, "transfer-encoding", 17) ? HEADER_ENCODING
                                                        : HEADER_OTHER;
}

/* Called at the colon. */
static const char *begin_value(struct framing *framing)
{
    framing->header = header_of_name(framing);
    framing->state = FIELD_VALUE;
    if (!(framing->headers_seen & framing->header)) {
        framing->headers_seen |= framing->header;
        return NULL;
    }
    return framing->header == HEADER_HOST     ? "Host must be sent only once."
           : framing->header == HEADER_LENGTH ? "Content-Length must be sent only once."
                                              : "Transfer-Encoding must be sent only once.";
}

/* Checks one visible byte of a value that affects the framing. */
static const char *value_byte(struct framing *framing, char byte)
{
    static const char chunked[] = "chunked";
    switch (framing->header) {
    case HEADER_HOST:
        framing->has_digits = true;
        return is(byte, IS_HOST) && !framing->is_blank ? NULL : bad_host;
    case HEADER_LENGTH:
        if (byte < '0' || byte > '9' || framing->is_blank || ++framing->matched > LENGTH_DIGITS_MAX)
            return bad_length;
        framing->left = (framing->has_digits ? framing->left * 10 : 0) + (unsigned)(byte - '0');
        framing->has_digits = true;
        return NULL;
    default:
        framing->has_digits = true;
        if (framing->is_blank || framing->matched >= sizeof chunked - 1 ||
            (byte | 0x20) != chunked[framing->matched])
            return bad_encoding;
        framing->matched++;
        return NULL;
    }
}

static const char *end_value(const struct framing *framing)
{
    if (framing->header == HEADER_LENGTH && !framing->has_digits)
        return bad_length;
    if (framing->header == HEADER_ENCODING && framing->matched != 7)
        return bad_encoding;
    return NULL;
}

static const char *walk_name(struct framing *framing, const char *bytes, size_t len, size_t *at)
{
    while (*at < len) {
        char byte = bytes[(*at)++];
        if (byte == ':')
            return begin_value(framing);
        if (!is(byte, IS_TOKEN))
            return bad_name;
        add_to_name(framing, byte);
    }
    return NULL;
}

/* Other values are most of a head, so they are skipped at once. */
static const char *walk_value(struct framing *framing, const char *bytes, size_t len, size_t *at)
{
    if (framing->header == HEADER_OTHER)
        while (*at < len && is(bytes[*at], IS_VALUE))
            ++*at;
    if (*at == len)
        return NULL;
    char byte = bytes[(*at)++];
    if (byte == '\r') {
        framing->state = FIELD_LF;
        return end_value(framing);
    }
    if (byte == '\t') /* some readers take only spaces for blanks */
        return tab;
    if (byte == ' ') {
        framing->is_blank = framing->has_digits; /* a blank before the value does not count */
        return NULL;
    }
    if (!is(byte, IS_VALUE))
        return byte == '\n' ? bare : bad_value;
    return value_byte(framing, byte);
}

static const char *end_head(struct framing *framing)
{
    unsigned seen = framing->headers_seen;
    if ((seen & HEADER_LENGTH) && (seen & HEADER_ENCODING))
        return "Content-Length and Transfer-Encoding must not be sent together.";
    if ((seen & HEADER_ENCODING) && framing->is_http_1_0)
        return "HTTP/1.0 does not allow Transfer-Encoding.";
    if (!(seen & HEADER_HOST) && !framing->is_http_1_0)
        return "Host is missing.";
    if (!(seen & HEADER_LENGTH))
        framing->left = 0;
    if (seen & HEADER_ENCODING)
        framing->state = CHUNK_FIRST;
    else
        framing->state = framing->left > 0 ? BODY : COMPLETE;
    return NULL;
}

static const char *walk_request_line(struct framing *framing, char byte)
{
    static const char version[] = "HTTP/1.";
    switch (framing->state) {
    case START_LF:
        framing->state = METHOD_FIRST;
        return byte == '\n' ? NULL : bare;
    case METHOD_FIRST:
        framing->state = METHOD;
        return is(byte, IS_TOKEN) ? NULL : byte == '\n' ? bare : bad_line;
    case METHOD:
        if (byte == ' ')
            framing->state = TARGET_FIRST;
        else if (!is(byte, IS_TOKEN))
            return bad_line;
        return NULL;
    case TARGET_FIRST:
        framing->state = TARGET;
        return is(byte, IS_TARGET) ? NULL : bad_line;
    case TARGET:
        if (byte != ' ')
            return is(byte, IS_TARGET) ? NULL : bad_line;
        framing->state = VERSION;
        framing->matched = 0;
        return NULL;
    case VERSION:
        if (framing->matched < sizeof version - 1)
            return byte == version[framing->matched++] ? NULL : bad_line;
        framing->is_http_1_0 = byte == '0';
        framing->state = REQUEST_CR;
        return byte == '0' || byte == '1' ? NULL : bad_line;
    case REQUEST_CR:
        framing->state = REQUEST_LF;
        return byte == '\r' ? NULL : byte == '\n' ? bare : bad_line;
    default: /* REQUEST_LF */
        framing->state = FIELD_FIRST;
        return byte == '\n' ? NULL : bare;
    }
}

static const char *walk_field(struct framing *framing, char byte)
{
    switch (framing->state) {
    case FIELD_FIRST:
        if (byte == '\r') {
            framing->state = HEAD_LF;
            return NULL;
        }
        if (byte == ' ' || byte == '\t')
            return folded;
        if (!is(byte, IS_TOKEN))
            return byte == '\n' ? bare : bad_name;
        begin_field(framing);
        framing->state = FIELD_NAME;
        add_to_name(framing, byte);
        return NULL;
    case FIELD_LF:
        framing->state = FIELD_FIRST;
        return byte == '\n' ? NULL : bare;
    default: /* HEAD_LF */
        return byte == '\n' ? end_head(framing) : bare;
    }
}

static const char *chunk_line_byte(struct framing *framing)
{
    return ++framing->line_bytes <= CHUNK_LINE_BYTES_MAX ? NULL : bad_extension;
}

/* Returns whether the byte ends a name or a value. Then it changes the state. */
static bool ends_extension(struct framing *framing, char byte)
{
    if (byte == ';')
        framing->state = EXTENSION_FIRST;
    else if (byte == '\r')
        framing->state = CHUNK_SIZE_LF;
    return byte == ';' || byte == '\r';
}

/* RFC 9112, section 7.1.1, without blanks and without backslashes in quoted values. Nobody sends
 * them, and other readers reject them. */
static const char *walk_extension(struct framing *framing, char byte)
{
    const char *fault = byte == '\n' ? bare : bad_extension;
    switch (framing->state) {
    case EXTENSION_NAME:
        if (byte == '=')
            framing->state = EXTENSION_VALUE_FIRST;
        else if (!is(byte, IS_TOKEN) && !ends_extension(framing, byte))
            return fault;
        break;
    case EXTENSION_VALUE:
        if (!is(byte, IS_TOKEN) && !ends_extension(framing, byte))
            return fault;
        break;
    case EXTENSION_QUOTED:
        if (byte == '"')
            framing->state = EXTENSION_QUOTED_END;
        else if (!is(byte, IS_VALUE) || byte == '\\')
            return fault;
        break;
    case EXTENSION_QUOTED_END:
        if (!ends_extension(framing, byte))
            return fault;
        break;
    default: /* the first byte of a name or a value */
        if (framing->state == EXTENSION_VALUE_FIRST && byte == '"')
            framing->state = EXTENSION_QUOTED;
        else if (!is(byte, IS_TOKEN))
            return fault;
        else
            framing->state = framing->state == EXTENSION_FIRST ? EXTENSION_NAME : EXTENSION_VALUE;
        break;
    }
    return ++framing->extension_bytes <= EXTENSION_BYTES_MAX ? chunk_line_byte(framing)
                                                             : bad_extension;
}

static const char *walk_chunk(struct framing *framing, char byte)
{
    int digit;
    if (framing->state >= EXTENSION_FIRST && framing->state <= EXTENSION_QUOTED_END)
        return walk_extension(framing, byte);
    switch (framing->state) {
    case CHUNK_FIRST:
        framing->state = CHUNK_SIZE;
        framing->line_bytes = 1;
        digit = hex_digit(byte);
        framing->left = (uint64_t)(digit < 0 ? 0 : digit);
        return digit < 0 ? bad_chunk : NULL;
    case CHUNK_SIZE:
        digit = hex_digit(byte);
        if (digit >= 0) {
            framing->left = framing->left * 16 + (unsigned)digit;
            return ++framing->line_bytes <= CHUNK_SIZE_DIGITS_MAX ? NULL : bad_chunk;
        }
        if (byte != '\r' && byte != ';')
            return byte == '\n' ? bare : bad_chunk;
        framing->state = byte == ';' ? EXTENSION_FIRST : CHUNK_SIZE_LF;
        return chunk_line_byte(framing);
    case CHUNK_SIZE_LF:
        if (framing->left > 0 && framing->left < SMALL_CHUNK_BYTES &&
            ++framing->small_chunks > SMALL_CHUNKS_MAX)
            return small_chunks;
        framing->state = framing->left > 0 ? CHUNK_DATA : TRAILER_FIRST;
        framing->line_bytes = 0;
        return byte == '\n' ? NULL : bad_extension;
    case CHUNK_CR:
        framing->state = CHUNK_LF;
        return byte == '\r' ? NULL : bad_chunk_end;
    default: /* CHUNK_LF */
        framing->state = CHUNK_FIRST;
        return byte == '\n' ? NULL : bad_chunk_end;
    }
}

static const char *walk_trailer(struct framing *framing, char byte)
{
    if (++framing->line_bytes > TRAILER_BYTES_MAX)
        return bad_trailer;
    switch (framing->state) {
    case TRAILER_FIRST:
        framing->state = byte == '\r' ? TRAILER_END_LF : TRAILER_NAME;
        framing->name_len = 0;
        add_to_name(framing, byte);
        return byte == '\r' || is(byte, IS_TOKEN) ? NULL : byte == '\n' ? bare : bad_trailer;
    case TRAILER_NAME:
        if (byte != ':' && !is(byte, IS_TOKEN))
            return bad_trailer;
        if (byte == ':')
            framing->state = TRAILER_VALUE;
        else
            add_to_name(framing, byte);
        /* RFC 9110, section 6.5.1. Some readers use them. */
        return byte == ':' && header_of_name(framing) != HEADER_OTHER ? late_header : NULL;
    case TRAILER_VALUE:
        if (byte == '\r')
            framing->state = TRAILER_LF;
        else if (!is(byte, IS_VALUE))
            return byte == '\n' ? bare : bad_trailer;
        return NULL;
    case TRAILER_LF:
        framing->state = TRAILER_FIRST;
        return byte == '\n' ? NULL : bare;
    default: /* TRAILER_END_LF */
        framing->state = COMPLETE;
        return byte == '\n' ? NULL : bare;
    }
}

static enum framing_event body_bytes(
    struct framing *framing, struct slice bytes, size_t *ret_used, struct slice *ret_data)
{
    size_t here = bytes.len < framing->left ? bytes.len : (size_t)framing->left;
    *ret_data = slice_of(bytes.data, here);
    *ret_used = here;
    framing->left -= here;
    if (framing->left == 0)
        framing->state = framing->state == BODY ? COMPLETE : CHUNK_CR;
    return FRAMING_DATA;
}

static const char *step(struct framing *framing, const char *bytes, size_t len, size_t *at)
{
    if (framing->state == FIELD_NAME)
        return walk_name(framing, bytes, len, at);
    if (framing->state == FIELD_VALUE)
        return walk_value(framing, bytes, len, at);
    if (framing->state == TARGET)
        while (*at < len - 1 && is(bytes[*at], IS_TARGET))
            ++*at;
    char byte = bytes[(*at)++];
    if (framing->state < FIELD_FIRST)
        return walk_request_line(framing, byte);
    if (framing->state < BODY)
        return walk_field(framing, byte);
    return framing->state < TRAILER_FIRST ? walk_chunk(framing, byte) : walk_trailer(framing, byte);
}

static bool is_in_head(const struct framing *framing)
{
    return framing->state > START && framing->state < BODY;
}

enum framing_event framing_next(
    struct framing *framing, struct slice bytes, size_t *ret_used, struct slice *ret_data)
{
    *ret_used = 0;
    if (framing->state == COMPLETE) {
        framing->state = START;
        return FRAMING_END;
    }
    while (*ret_used < bytes.len) {
        if (framing->state == BODY || framing->state == CHUNK_DATA) {
            size_t before = *ret_used;
            enum framing_event event = body_bytes(
                framing, slice_of(bytes.data + before, bytes.len - before), ret_used, ret_data);
            *ret_used += before;
            return event;
        }
        if (framing->state == START) {
            bool is_empty_line = bytes.data[*ret_used] == '\r';
            *framing = (struct framing){.state = is_empty_line ? START_LF : METHOD_FIRST};
            *ret_used += is_empty_line;
            continue;
        }
        bool was_in_head = is_in_head(framing);
        framing->fault = step(framing, bytes.data, bytes.len, ret_used);
        if (framing->fault)
            return FRAMING_FAULT;
        if (was_in_head && !is_in_head(framing))
            return FRAMING_HEAD;
        if (framing->state == COMPLETE) {
            framing->state = START;
            return FRAMING_END;
        }
    }
    return FRAMING_MORE;
}

uint64_t framing_body_length(const struct framing *framing)
{
    return framing->state == CHUNK_FIRST ? FRAMING_CHUNKED : framing->left;
}

enum framing_phase framing_phase(const struct framing *framing)
{
    /* An empty line that an old client sends after a body does not begin a request. */
    return framing->state <= METHOD_FIRST ? FRAMING_IDLE
           : framing->state < BODY        ? FRAMING_IN_HEAD
                                          : FRAMING_IN_BODY;
}
