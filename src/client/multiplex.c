/* SPDX-License-Identifier: Apache-2.0 */
#include "client/multiplex.h"

#include "base/crypto.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Origins that are looked at to make room for another one. */
#define EVICT_TRIES_MAX 16

struct multiplex_connection {
    struct list link; /* of its origin's */
    struct multiplex_origin *origin;
    uint64_t number;
    bool made, closed;
    unsigned streams; /* requests that use it, sent or about to be */
    unsigned sent;    /* of them, sent */
    unsigned streams_max;
    unsigned origins_max;     /* the origin's, before the first was left unprocessed; 0: none was */
    int64_t answered_mono_us; /* the last answer; 0: none yet */
};

struct multiplex_origin {
    struct list bucket_link, place, ready_link;
    struct list connections, waiting;
    int64_t http_1_until_mono_us; /* 0: HTTP/2 is tried */
    unsigned streams_max;         /* as learned, for connections without an answer */
    char name[];
};

void multiplex_init(struct multiplex *multiplex)
{
    *multiplex = (struct multiplex){0};
    crypto_random(&multiplex->seed, sizeof multiplex->seed);
    list_init(&multiplex->ready);
    list_init(&multiplex->places);
    for (unsigned i = 0; i < MULTIPLEX_BUCKETS; i++)
        list_init(&multiplex->buckets[i]);
}

uint64_t multiplex_take_number(struct multiplex *multiplex)
{
    return ++multiplex->numbers;
}

/* Origins */

static struct list *bucket_of(struct multiplex *multiplex, const char *name)
{
    uint64_t hash = hash_siphash(&multiplex->seed, slice_from_string(name));
    return &multiplex->buckets[hash & (MULTIPLEX_BUCKETS - 1)];
}

static struct multiplex_origin *find_origin(struct multiplex *multiplex, const char *name)
{
    list_for_each (node, bucket_of(multiplex, name)) {
        struct multiplex_origin *origin = CONTAINER_OF(node, struct multiplex_origin, bucket_link);
        if (strcmp(origin->name, name) == 0)
            return origin;
    }
    return NULL;
}

static void free_connection(struct multiplex_connection *connection)
{
    list_remove(&connection->link);
    free(connection);
}

static void free_origin(struct multiplex *multiplex, struct multiplex_origin *origin)
{
    list_for_each_safe (node, following, &origin->connections)
        free_connection(CONTAINER_OF(node, struct multiplex_connection, link));
    list_remove(&origin->bucket_link);
    list_remove(&origin->place);
    list_remove(&origin->ready_link);
    multiplex->origins_count--;
    free(origin);
}

void multiplex_done(struct multiplex *multiplex)
{
    while (!list_is_empty(&multiplex->places))
        free_origin(
            multiplex, CONTAINER_OF(multiplex->places.next, struct multiplex_origin, place));
}

static bool is_in_use(const struct multiplex_origin *origin)
{
    list_for_each (node, &origin->connections)
        if (CONTAINER_OF(node, struct multiplex_connection, link)->streams > 0)
            return true;
    return !list_is_empty(&origin->waiting);
}

/* libcurl closes the connections of an evicted origin when it needs room for others. */
static bool make_room(struct multiplex *multiplex)
{
    if (multiplex->origins_count < MULTIPLEX_ORIGINS_MAX)
        return true;
    unsigned tries = 0;
    list_for_each (node, &multiplex->places) {
        struct multiplex_origin *origin = CONTAINER_OF(node, struct multiplex_origin, place);
        if (!is_in_use(origin)) {
            free_origin(multiplex, origin);
            return true;
        }
        if (++tries == EVICT_TRIES_MAX)
            break;
    }
    return false;
}

static struct multiplex_origin *add_origin(struct multiplex *multiplex, const char *name)
{
    if (!make_room(multiplex))
        return NULL;
    size_t bytes = strlen(name) + 1;
    struct multiplex_origin *origin = memory_new(sizeof *origin + bytes);
    memcpy(origin->name, name, bytes);
    list_init(&origin->connections);
    list_init(&origin->waiting);
    list_init(&origin->ready_link);
    list_init(&origin->place);
    origin->streams_max = MULTIPLEX_STREAMS_MAX;
    list_add_tail(bucket_of(multiplex, name), &origin->bucket_link);
    multiplex->origins_count++;
    return origin;
}

static void make_ready(struct multiplex *multiplex, struct multiplex_origin *origin)
{
    list_remove(&origin->ready_link);
    if (!list_is_empty(&origin->waiting))
        list_add_tail(&multiplex->ready, &origin->ready_link);
}

/* Ways */

static enum multiplex_way use(
    struct multiplex_stream *stream, struct multiplex_connection *connection)
{
    connection->streams++;
    stream->connection = connection;
    return connection->made ? MULTIPLEX_JOIN : MULTIPLEX_OPEN;
}

static struct multiplex_connection *add_connection(
    struct multiplex *multiplex, struct multiplex_origin *origin)
{
    struct multiplex_connection *connection = memory_new(sizeof *connection);
    connection->origin = origin;
    connection->number = multiplex_take_number(multiplex);
    connection->streams_max = origin->streams_max;
    list_add_tail(&origin->connections, &connection->link);
    return connection;
}

static enum multiplex_way choose(struct multiplex *multiplex, struct multiplex_origin *origin,
    struct multiplex_stream *stream, int64_t now_mono_us)
{
    if (now_mono_us < origin->http_1_until_mono_us)
        return MULTIPLEX_HTTP_1;
    unsigned open = 0;
    bool making = false;
    list_for_each (node, &origin->connections) {
        struct multiplex_connection *connection =
            CONTAINER_OF(node, struct multiplex_connection, link);
        making |= !connection->made;
        if (!connection->made || connection->closed)
            continue;
        if (connection->streams < connection->streams_max)
            return use(stream, connection);
        open++;
    }
    if (making || open >= MULTIPLEX_CONNECTIONS_MAX)
        return MULTIPLEX_WAIT;
    return use(stream, add_connection(multiplex, origin));
}

enum multiplex_way multiplex_enter(struct multiplex *multiplex, const char *name,
    struct multiplex_stream *stream, int64_t now_mono_us)
{
    *stream = (struct multiplex_stream){.way = MULTIPLEX_HTTP_1};
    list_init(&stream->link);
    struct multiplex_origin *origin = find_origin(multiplex, name);
    if (!origin)
        origin = add_origin(multiplex, name);
    if (!origin)
        return MULTIPLEX_HTTP_1;
    list_remove(&origin->place);
    list_add_tail(&multiplex->places, &origin->place);
    stream->way = list_is_empty(&origin->waiting) ? choose(multiplex, origin, stream, now_mono_us)
                                                  : MULTIPLEX_WAIT;
    if (stream->way == MULTIPLEX_WAIT) {
        stream->origin = origin;
        list_add_tail(&origin->waiting, &stream->link);
    }
    return stream->way;
}

struct multiplex_stream *multiplex_next(struct multiplex *multiplex, int64_t now_mono_us)
{
    while (!list_is_empty(&multiplex->ready)) {
        struct multiplex_origin *origin =
            CONTAINER_OF(multiplex->ready.next, struct multiplex_origin, ready_link);
        if (!list_is_empty(&origin->waiting)) {
            struct multiplex_stream *stream =
                CONTAINER_OF(origin->waiting.next, struct multiplex_stream, link);
            stream->way = choose(multiplex, origin, stream, now_mono_us);
            if (stream->way != MULTIPLEX_WAIT) {
                list_remove(&stream->link);
                stream->origin = NULL;
                return stream;
            }
        }
        list_remove(&origin->ready_link);
    }
    return NULL;
}

bool multiplex_is_ready(const struct multiplex *multiplex)
{
    return !list_is_empty(&multiplex->ready);
}

uint64_t multiplex_number(const struct multiplex_stream *stream)
{
    return stream->connection ? stream->connection->number : 0;
}

/* The life of a connection */

void multiplex_note_made(
    struct multiplex *multiplex, struct multiplex_stream *stream, bool http_2, int64_t now_mono_us)
{
    struct multiplex_connection *connection = stream->connection;
    struct multiplex_origin *origin = connection->origin;
    if (http_2) {
        connection->made = true;
    } else {
        origin->http_1_until_mono_us = now_mono_us + MULTIPLEX_HTTP_1_US;
        stream->connection = NULL;
        free_connection(connection);
    }
    make_ready(multiplex, origin);
}

bool multiplex_note_sent(struct multiplex_stream *stream, int64_t now_mono_us)
{
    struct multiplex_connection *connection = stream->connection;
    stream->sent = true;
    stream->sent_mono_us = now_mono_us;
    connection->sent++;
    if (connection->answered_mono_us != 0 && connection->sent > connection->origin->streams_max)
        connection->origin->streams_max = connection->sent;
    return connection->answered_mono_us != 0;
}

void multiplex_note_answer(
    struct multiplex *multiplex, struct multiplex_stream *stream, int64_t now_mono_us)
{
    struct multiplex_connection *connection = stream->connection;
    if (!connection)
        return;
    if (connection->answered_mono_us == 0) {
        connection->streams_max = MULTIPLEX_STREAMS_MAX;
        make_ready(multiplex, connection->origin);
    }
    connection->answered_mono_us = now_mono_us;
}

/* The connection has this many streams, and takes no more. */
static void note_full(struct multiplex_connection *connection)
{
    connection->streams_max = connection->sent;
    connection->origin->streams_max = connection->sent;
}

/* A peer that leaves all streams of a connection unprocessed ends it. That shows no limit. */
static void note_unprocessed(struct multiplex_connection *connection)
{
    if (connection->origins_max == 0)
        connection->origins_max = connection->origin->streams_max;
    if (connection->sent > 0)
        note_full(connection);
    else
        connection->origin->streams_max = connection->origins_max;
}

/* Nothing uses a number twice, so a connection that is not made is freed with its only stream. */
bool multiplex_leave(
    struct multiplex *multiplex, struct multiplex_stream *stream, enum multiplex_end end)
{
    struct multiplex_connection *connection = stream->connection;
    stream->connection = NULL;
    if (stream->origin) {
        list_remove(&stream->link);
        stream->origin = NULL;
    }
    if (!connection)
        return false;
    struct multiplex_origin *origin = connection->origin;
    connection->streams--;
    connection->sent -= stream->sent;
    if (end == MULTIPLEX_UNPROCESSED)
        note_unprocessed(connection);
    else if (end == MULTIPLEX_REFUSED && connection->sent > 0)
        note_full(connection);
    connection->closed |=
        !connection->made || end == MULTIPLEX_LOST || end == MULTIPLEX_UNPROCESSED ||
        (end == MULTIPLEX_REFUSED && connection->sent == 0) ||
        (end == MULTIPLEX_SILENT && connection->answered_mono_us < stream->sent_mono_us);
    stream->sent = false;
    bool unused = connection->closed && connection->streams == 0;
    if (unused)
        free_connection(connection);
    make_ready(multiplex, origin);
    return unused;
}

bool multiplex_is_full(const struct multiplex_stream *stream)
{
    list_for_each (node, &stream->origin->connections) {
        const struct multiplex_connection *connection =
            CONTAINER_OF(node, struct multiplex_connection, link);
        if (connection->made && !connection->closed)
            return true;
    }
    return false;
}
