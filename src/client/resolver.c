/* SPDX-License-Identifier: Apache-2.0 */
#include "client/resolver.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/hash.h"
#include "base/memory.h"
#include "runtime/loop.h"

#include <ares.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024 /* a power of two */

/* A TTL of 0 would cost a look-up per request. With a TTL of days, requests would still be sent to
 * a machine that was replaced. */
#define TTL_SECONDS_MIN 5
#define TTL_SECONDS_MAX 300
#define TTL_SECONDS_NO_SUCH_NAME 2
#define TTL_SECONDS_NO_ANSWER 1

/* A dead server costs 1 + 2 s, which is within the usual connect timeout. */
#define SERVER_TIMEOUT_MS 1000
#define SERVER_TRIES 2

struct name {
    struct list bucket_link;
    struct list place; /* in asking, answered or known */
    struct list waiters;
    struct resolver *resolver;
    bool asking;
    int64_t expires_mono_us, asked_mono_us;
    int64_t connect_us; /* of the last connection; 0: unknown */
    union address shunned;
    int64_t shunned_until_mono_us;
    struct address_set answer;
    char host[];
};

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct timer timer; /* for c-ares, and to report answers in the next turn */
    struct list sockets;
    struct list asking, answered, known; /* known: the least recently used first */
    unsigned names_count;
    uint64_t routes;        /* used so far */
    int64_t heard_mono_us;  /* the last answer of any name server; 0: none yet */
    bool in_call;           /* c-ares answers within its call: not from a name server */
    int64_t canary_mono_us; /* when the root was last asked for */
    bool canary_is_out;
    bool closing;
    struct hash_seed seed;
    struct list buckets[BUCKETS];
};

struct socket_watch {
    struct loop_watch watch;
    struct list link;
    struct resolver *resolver;
};

static const struct address_set no_room = {.error = ERR_SHORTAGE};

static void move_to(struct list *place, struct name *name)
{
    list_remove(&name->place);
    list_add_tail(place, &name->place);
}

/* Returns the time until the root must be asked for, or INT64_MAX if it need not be. */
static int64_t canary_due_us(const struct resolver *resolver)
{
    if (resolver->canary_is_out || list_is_empty(&resolver->asking))
        return INT64_MAX;
    const struct name *first = CONTAINER_OF(resolver->asking.next, struct name, place);
    if (resolver->heard_mono_us >= first->asked_mono_us ||
        resolver->canary_mono_us >= first->asked_mono_us)
        return INT64_MAX;
    int64_t left_us = first->asked_mono_us + CANARY_US - clock_mono_us();
    return left_us > 0 ? left_us : 0;
}

static void set_timer(struct resolver *resolver)
{
    struct timeval left;
    int64_t canary_us = canary_due_us(resolver);
    if (!list_is_empty(&resolver->answered)) {
        timer_arm(resolver->loop, &resolver->timer, 0);
    } else if (ares_timeout(resolver->channel, NULL, &left)) {
        int64_t left_us = left.tv_sec * US_PER_SECOND + left.tv_usec;
        timer_arm(resolver->loop, &resolver->timer, left_us < canary_us ? left_us : canary_us);
    } else
        timer_disarm(resolver->loop, &resolver->timer);
}

/* c-ares's sockets */

static void on_socket_ready(struct loop_watch *watch, uint32_t events)
{
    /* c-ares may close the socket and free the watch during the call. */
    struct resolver *resolver = CONTAINER_OF(watch, struct socket_watch, watch)->resolver;
    ares_socket_t fd = watch->fd;
    bool readable = events & (EPOLLIN | EPOLLERR | EPOLLHUP), writable = events & EPOLLOUT;
    ares_process_fd(
        resolver->channel, readable ? fd : ARES_SOCKET_BAD, writable ? fd : ARES_SOCKET_BAD);
    set_timer(resolver);
}

static struct socket_watch *find_socket(struct resolver *resolver, int fd)
{
    list_for_each (node, &resolver->sockets) {
        struct socket_watch *socket = CONTAINER_OF(node, struct socket_watch, link);
        if (socket->watch.fd == fd)
            return socket;
    }
    return NULL;
}

/* If the loop cannot watch the socket, the look-up ends with c-ares's timeout. */
static void add_socket(struct resolver *resolver, int fd, uint32_t events)
{
    struct socket_watch *socket = memory_new(sizeof *socket);
    socket->watch = (struct loop_watch){.fd = fd, .events = events, .on_ready = on_socket_ready};
    socket->resolver = resolver;
    if (loop_watch_add(resolver->loop, &socket->watch) != OK) {
        free(socket);
        return;
    }
    list_add_tail(&resolver->sockets, &socket->link);
}

static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
    struct resolver *resolver = context;
    struct socket_watch *socket = find_socket(resolver, fd);
    uint32_t events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0);
    if (!socket) {
        if (events)
            add_socket(resolver, fd, events);
    } else if (events) {
        loop_watch_change(resolver->loop, &socket->watch, events);
    } else {
        loop_watch_remove(resolver->loop, &socket->watch);
        list_remove(&socket->link);
        free(socket);
    }
}

/* The names */

static struct list *bucket_of(struct resolver *resolver, const char *host)
{
    return &resolver
                ->buckets[hash_siphash(&resolver->seed, slice_from_string(host)) & (BUCKETS - 1)];
}

static struct name *find_name(struct resolver *resolver, const char *host)
{
    list_for_each (node, bucket_of(resolver, host)) {
        struct name *name = CONTAINER_OF(node, struct name, bucket_link);
        if (strcmp(name->host, host) == 0)
            return name;
    }
    return NULL;
}

static void free_name(struct name *name)
{
    list_remove(&name->bucket_link);
    list_remove(&name->place);
    name->resolver->names_count--;
    free(name);
}

static bool make_room(struct resolver *resolver)
{
    if (resolver->names_count < RESOLVER_NAMES_MAX)
        return true;
    if (list_is_empty(&resolver->known))
        return false;
    free_name(CONTAINER_OF(resolver->known.next, struct name, place));
    return true;
}

static struct name *add_name(struct resolver *resolver, const char *host)
{
    size_t bytes = strlen(host) + 1;
    struct name *name = memory_new(sizeof *name + bytes);
    name->resolver = resolver;
    memcpy(name->host, host, bytes);
    list_init(&name->waiters);
    list_init(&name->place);
    list_add_tail(bucket_of(resolver, host), &name->bucket_link);
    resolver->names_count++;
    return name;
}

static bool copy_address(const struct ares_addrinfo_node *node, union address *ret_address)
{
    if (node->ai_family == AF_INET && node->ai_addrlen >= sizeof ret_address->ipv4)
        memcpy(&ret_address->ipv4, node->ai_addr, sizeof ret_address->ipv4);
    else if (node->ai_family == AF_INET6 && node->ai_addrlen >= sizeof ret_address->ipv6)
        memcpy(&ret_address->ipv6, node->ai_addr, sizeof ret_address->ipv6);
    else
        return false;
    return true;
}

static enum attempt_cause cause_of(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return CAUSE_DNS_NO_NAME;
    case ARES_ENODATA:
    case ARES_SUCCESS:
        return CAUSE_DNS_NO_ADDRESS;
    case ARES_EFORMERR:
    case ARES_ESERVFAIL:
    case ARES_ENOTIMP:
    case ARES_EREFUSED:
    case ARES_EBADRESP:
        return CAUSE_DNS_FAILED;
    default:
        return CAUSE_DNS_NO_ANSWER;
    }
}

/* Reads c-ares's answer. Returns the seconds for which it may be kept. */
static int read_answer(
    int status, const struct ares_addrinfo *result, struct address_set *ret_answer)
{
    *ret_answer = (struct address_set){.error = ERR_NAME_LOOKUP, .cause = cause_of(status)};
    if (status == ARES_ENOMEM)
        *ret_answer = (struct address_set){.error = ERR_NO_MEMORY};
    if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
        return TTL_SECONDS_NO_SUCH_NAME;
    if (status != ARES_SUCCESS || !result)
        return TTL_SECONDS_NO_ANSWER;
    int ttl = TTL_SECONDS_MAX;
    for (const struct ares_addrinfo_node *node = result->nodes; node; node = node->ai_next) {
        if (ret_answer->count == ADDRESS_SET_MAX ||
            !copy_address(node, &ret_answer->items[ret_answer->count]))
            continue;
        ret_answer->count++;
        if (node->ai_ttl < ttl)
            ttl = node->ai_ttl;
    }
    if (ret_answer->count == 0)
        return TTL_SECONDS_NO_SUCH_NAME;
    ret_answer->error = OK;
    ret_answer->cause = CAUSE_NONE;
    return ttl < TTL_SECONDS_MIN ? TTL_SECONDS_MIN : ttl;
}

static bool put_last(struct name *name, const union address *address)
{
    int place = address_set_find(&name->answer, address);
    if (place >= 0)
        address_set_turn(&name->answer, (unsigned)place + 1);
    return place >= 0;
}

/* The route changes only if an address was removed. Added addresses or another order keep the
 * connections. */
static void set_answer(struct name *name, const struct address_set *answer)
{
    bool holds = name->answer.count > 0;
    for (unsigned i = 0; i < name->answer.count; i++)
        holds &= address_set_find(answer, &name->answer.items[i]) >= 0;
    uint64_t route = holds ? name->answer.route : ++name->resolver->routes;
    name->answer = *answer;
    name->answer.route = route;
    if (clock_mono_us() < name->shunned_until_mono_us)
        put_last(name, &name->shunned);
}

/* Notes that a name server has answered, even if with an error. */
static void note_heard(struct resolver *resolver, int status)
{
    if (!resolver->in_call && (status <= ARES_EREFUSED || status == ARES_EBADRESP))
        resolver->heard_mono_us = clock_mono_us();
}

static bool is_silent_since(const struct resolver *resolver, int64_t asked_mono_us)
{
    return resolver->heard_mono_us < asked_mono_us;
}

static void on_canary_answer(
    void *context, int status, int timeouts, unsigned char *answer, int answer_len)
{
    struct resolver *resolver = context;
    resolver->canary_is_out = false;
    if (!resolver->closing)
        note_heard(resolver, status);
}

static void ask_canary(struct resolver *resolver)
{
    if (canary_due_us(resolver) > 0)
        return;
    const int class_in = 1, type_ns = 2;
    resolver->canary_is_out = true;
    resolver->canary_mono_us = clock_mono_us();
    resolver->in_call = true;
    ares_query(resolver->channel, ".", class_in, type_ns, on_canary_answer, resolver);
    resolver->in_call = false;
}

static void on_ares_answer(void *context, int status, int timeouts, struct ares_addrinfo *result)
{
    struct name *name = context;
    struct resolver *resolver = name->resolver;
    if (!resolver->closing) {
        struct address_set answer;
        int ttl = read_answer(status, result, &answer);
        note_heard(resolver, status);
        if (answer.error == ERR_NAME_LOOKUP && status > ARES_EREFUSED && status != ARES_EBADRESP &&
            status != ARES_EBADNAME && is_silent_since(resolver, name->asked_mono_us))
            answer = no_room;
        set_answer(name, &answer);
        name->expires_mono_us = clock_mono_us() + ttl * US_PER_SECOND;
        name->asking = false;
        move_to(&resolver->answered, name);
    }
    if (result)
        ares_freeaddrinfo(result);
}

static bool is_invalid(const char *host)
{
    const char *last = strrchr(host, '.');
    return strcmp(last ? last + 1 : host, "invalid") == 0;
}

static void ask(struct resolver *resolver, struct name *name)
{
    static const struct ares_addrinfo_hints hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    name->asking = true;
    name->asked_mono_us = clock_mono_us();
    move_to(&resolver->asking, name);
    if (is_invalid(name->host)) {
        on_ares_answer(name, ARES_ENOTFOUND, 0, NULL);
        set_timer(resolver);
        return;
    }
    resolver->in_call = true;
    /* It may answer at once. */
    ares_getaddrinfo(resolver->channel, name->host, NULL, &hints, on_ares_answer, name);
    resolver->in_call = false;
    set_timer(resolver);
}

static void tell_waiters(struct resolver *resolver)
{
    struct name *name;
    while ((name = LIST_TAKE_FIRST(&resolver->answered, struct name, place))) {
        /* A waiter may look up names. That may free this name or ask for it again, so the name is
         * not used after the first callback. */
        struct address_set answer = name->answer;
        struct list waiters;
        list_init(&waiters);
        struct resolver_waiter *waiter;
        while ((waiter = LIST_TAKE_FIRST(&name->waiters, struct resolver_waiter, link)))
            list_add_tail(&waiters, &waiter->link);
        move_to(&resolver->known, name);
        while ((waiter = LIST_TAKE_FIRST(&waiters, struct resolver_waiter, link)))
            waiter->on_answer(waiter, &answer);
    }
}

static void on_timer(struct timer *timer)
{
    struct resolver *resolver = CONTAINER_OF(timer, struct resolver, timer);
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    ask_canary(resolver);
    tell_waiters(resolver);
    set_timer(resolver);
}

const struct address_set *resolver_look_up(
    struct resolver *resolver, const char *host, struct resolver_waiter *waiter)
{
    struct name *name = find_name(resolver, host);
    if (!name) {
        if (!make_room(resolver))
            return &no_room;
        name = add_name(resolver, host);
    } else if (!name->asking && clock_mono_us() < name->expires_mono_us) {
        if (list_is_empty(&name->waiters))
            move_to(&resolver->known, name);
        return &name->answer;
    }
    list_add_tail(&name->waiters, &waiter->link);
    if (!name->asking)
        ask(resolver, name);
    return NULL;
}

bool resolver_is_silent(struct resolver *resolver, const char *host)
{
    const struct name *name = find_name(resolver, host);
    return name && name->asking && is_silent_since(resolver, name->asked_mono_us) &&
           resolver->canary_is_out && clock_mono_us() - resolver->canary_mono_us >= CANARY_US;
}

void resolver_put_last(struct resolver *resolver, const char *host, const union address *address)
{
    struct name *name = find_name(resolver, host);
    if (!name || !put_last(name, address))
        return;
    name->shunned = *address;
    name->shunned_until_mono_us = clock_mono_us() + SHUN_US;
}

void resolver_note_connect_time(struct resolver *resolver, const char *host, int64_t us)
{
    struct name *name = find_name(resolver, host);
    if (name)
        name->connect_us = us;
}

int64_t resolver_address_us(struct resolver *resolver, const char *host)
{
    const struct name *name = find_name(resolver, host);
    if (!name || name->connect_us == 0 || name->connect_us > ADDRESS_US_MAX / 4)
        return ADDRESS_US_MAX;
    return name->connect_us < ADDRESS_US_MIN / 4 ? ADDRESS_US_MIN : 4 * name->connect_us;
}

void resolver_waiter_init(struct resolver_waiter *waiter,
    void (*on_answer)(struct resolver_waiter *waiter, const struct address_set *answer))
{
    list_init(&waiter->link);
    waiter->on_answer = on_answer;
}

void resolver_leave(struct resolver_waiter *waiter)
{
    list_remove(&waiter->link);
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static enum err open_channel(struct resolver *resolver, const char *servers)
{
    pthread_once(&library_once, init_library);
    struct ares_options options = {
        .timeout = SERVER_TIMEOUT_MS,
        .tries = SERVER_TRIES,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = resolver,
    };
    if (library_status != ARES_SUCCESS ||
        ares_init_options(&resolver->channel, &options,
            ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS) {
        resolver->channel = NULL;
        return ERR_SYSTEM;
    }
    if (servers && *servers &&
        ares_set_servers_ports_csv(resolver->channel, servers) != ARES_SUCCESS)
        return ERR_CONFIG;
    return OK;
}

enum err resolver_new(struct loop *loop, const char *servers, struct resolver **ret_resolver)
{
    struct resolver *resolver = memory_new(sizeof *resolver);
    resolver->loop = loop;
    list_init(&resolver->sockets);
    list_init(&resolver->asking);
    list_init(&resolver->answered);
    list_init(&resolver->known);
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&resolver->buckets[i]);
    crypto_random(&resolver->seed, sizeof resolver->seed);
    timer_init(&resolver->timer, on_timer);
    enum err e = open_channel(resolver, servers);
    if (e != OK) {
        resolver_free(resolver);
        return e;
    }
    *ret_resolver = resolver;
    return OK;
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    resolver->closing = true;
    if (resolver->channel)
        ares_destroy(resolver->channel);
    timer_disarm(resolver->loop, &resolver->timer);
    for (unsigned i = 0; i < BUCKETS; i++)
        list_for_each_safe (node, following, &resolver->buckets[i])
            free_name(CONTAINER_OF(node, struct name, bucket_link));
    free(resolver);
}
