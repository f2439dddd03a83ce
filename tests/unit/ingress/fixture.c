/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "ingress/ingress_internal.h"
#include "journal/journal_sqlite.h"
#include "queue/recent_keys.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/rcu.h"
#include "runtime/thread.h"
#include "support/at_end.h"
#include "unit/queue/fake_broker.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUESTS_MAX 1100

struct fake_journal {
    struct journal journal;
    unsigned shard;
};

struct ingress *ingress;
struct byte_budget budgets[TEST_SHARDS];
struct partner_limits *partner_limits;
struct rejections *rejections;
static struct recent_keys *known;
const struct hash_seed seed = {{1, 2, 3}};

static struct accounts *accounts;
static struct journal_reader *reader;
static struct sockaddr_storage address;
static socklen_t address_len;
static char directory[64];
static struct fake_journal fakes[TEST_SHARDS];
static struct journal *journals[TEST_SHARDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    struct journal_append *append;
    unsigned shard;
} received[REQUESTS_MAX];
static unsigned received_count;

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle\n";
}

static void submit(struct journal *journal, struct request *request)
{
    pthread_mutex_lock(&lock);
    assert(request->kind == JOURNAL_APPEND && received_count < REQUESTS_MAX);
    received[received_count].append = CONTAINER_OF(request, struct journal_append, request);
    received[received_count++].shard = CONTAINER_OF(journal, struct fake_journal, journal)->shard;
    pthread_mutex_unlock(&lock);
}

unsigned journal_count(void)
{
    pthread_mutex_lock(&lock);
    unsigned count = received_count;
    pthread_mutex_unlock(&lock);
    return count;
}

struct journal_append *journal_request(unsigned index)
{
    WAIT_UNTIL(journal_count() > index);
    return received[index].append;
}

unsigned journal_shard(unsigned index)
{
    return received[index].shard;
}

void journal_answer(unsigned index, enum err result, const struct event_id *first)
{
    struct journal_append *append = journal_request(index);
    append->ret_id = first ? *first : append->event->parts.id;
    request_answer(&append->request, result);
}

static void change(enum accounts_change kind, const char *partner, const char *account)
{
    struct accounts_request request = {.base.kind = kind};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    snprintf(request.account, sizeof request.account, "%s", account);
    crypto_sha256(SLICE_LITERAL(TEST_KEY), request.credential_sha256);
    request.endpoint =
        (struct endpoint){.name = "main", .url = "http://127.0.0.1:1/", .enabled = true};
    cr_assert_eq(accounts_call(accounts, &request), OK, "%s", request.detail);
}

static void change_shop(struct accounts_request *request)
{
    snprintf(request->partner, sizeof request->partner, "shop");
    cr_assert_eq(accounts_call(accounts, request), OK, "%s", request->detail);
}

void shop_set_key_pointer(const char *pointer)
{
    struct accounts_request request = {
        .base.kind = ACCOUNTS_CHANGE_PARTNER, .changes = PARTNER_CHANGE_KEY_POINTER};
    snprintf(request.partner_wanted.key_pointer, sizeof request.partner_wanted.key_pointer, "%s",
        pointer);
    change_shop(&request);
}

void shop_set_enabled(bool enabled)
{
    change_shop(&(struct accounts_request){.base.kind = ACCOUNTS_CHANGE_PARTNER,
        .changes = PARTNER_CHANGE_ENABLED,
        .partner_wanted.enabled = enabled});
}

void set_switch(enum switch_kind kind, bool off)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_SET_SWITCH,
        .switch_wanted = {.kind = kind, .is_off = off, .reason = "incident", .actor = "operator"}};
    cr_assert_eq(accounts_call(accounts, &request), OK, "%s", request.detail);
}

void shop_add_secret(const struct secret *secret)
{
    change_shop(
        &(struct accounts_request){.base.kind = ACCOUNTS_ADD_PARTNER_SECRET, .secret = *secret});
}

void shop_change_rules(const char *json)
{
    struct refusal refusal;
    struct accounts_request request = {
        .base.kind = ACCOUNTS_CHANGE_PARTNER, .changes = PARTNER_CHANGE_RULES};
    cr_assert_eq(
        partner_rules_change(&request.partner_wanted.rules, slice_from_string(json), &refusal), OK);
    change_shop(&request);
}

void shop_add_key(const char *key, const struct credential *wanted)
{
    struct accounts_request request = {
        .base.kind = ACCOUNTS_ADD_CREDENTIAL, .credential_wanted = *wanted};
    crypto_sha256(slice_from_string(key), request.credential_sha256);
    change_shop(&request);
}

int64_t key_last_use(const char *key)
{
    unsigned char sha256[SHA256_BYTES];
    crypto_sha256(slice_from_string(key), sha256);
    rcu_go_online();
    int64_t used_us =
        directory_last_use(directory_credential(accounts_directory(accounts), sha256));
    rcu_go_offline();
    return used_us;
}

uint64_t account_add_endpoint(const char *name, const char *types)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_ENDPOINT,
        .account = "acc_1",
        .endpoint = {.url = "http://127.0.0.1:1/", .enabled = true}};
    snprintf(request.endpoint.name, sizeof request.endpoint.name, "%s", name);
    for (const char *at = types; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        cr_assert(type_list_add(&request.endpoint.types, slice_of(at, len)));
        at += len;
    }
    cr_assert_eq(accounts_call(accounts, &request), OK, "%s", request.detail);
    return request.ret_endpoint;
}

void account_remove_endpoint(uint64_t endpoint)
{
    struct accounts_request request = {
        .base.kind = ACCOUNTS_REMOVE_ENDPOINT, .account = "acc_1", .endpoint_id = endpoint};
    cr_assert_eq(accounts_call(accounts, &request), OK, "%s", request.detail);
}

static void start_ingress(const char *intake_partner)
{
    static const struct broker_options broker = {.partitions = TEST_PARTITIONS};
    const char *problem;
    int fd;
    cr_assert(http_parse_address("127.0.0.1:0", &address, &address_len, &problem));
    cr_assert_eq(http_listen(&address, address_len, &fd), OK);
    cr_assert_eq(journal_reader_open(directory, TEST_SHARDS, &reader), OK);
    partner_limits = partner_limits_new(&seed, &(struct partner_rules){0});
    rejections = rejections_new(&seed, NULL);
    struct ingress_options options = {.listen_fd = fd,
        .connections_max = 100,
        .directory = accounts_directory(accounts),
        .journals = journals,
        .budgets = budgets,
        .reader = reader,
        .seed = seed,
        .partitions = TEST_PARTITIONS,
        .shards = TEST_SHARDS,
        .receipt_key = SLICE_LITERAL("0123456789abcdef0123456789abcdef"),
        .class_rules = &class_rules_default,
        .partner_limits = partner_limits,
        .rejections = rejections};
    if (intake_partner) {
        fake_broker_begin();
        known = recent_keys_new(64);
        options.connector = fake_connector();
        options.recent_keys = known;
        options.broker = &broker;
        options.publish_window = 4096;
        options.confirm_timeout_us = US_PER_SECOND;
        options.intake_partner = intake_partner;
        options.ingresses = &ingress;
        options.threads = 1;
    }
    cr_assert_eq(ingress_new(&options, &ingress), OK);
    cr_assert_eq(ingress_start(ingress), OK);
}

/* Empty journal files, for the reader. */
static void make_journal_files(void)
{
    for (unsigned i = 0; i < TEST_SHARDS; i++) {
        char detail[256] = "";
        struct journal *journal;
        struct journal_sqlite_options options = {.directory = directory, .shard = i};
        cr_assert_eq(journal_sqlite_open(&options, &journal, detail), OK, "%s", detail);
        journal_stop(journal);
    }
}

static void begin(const char *intake_partner)
{
    static const struct journal_ops ops = {.submit = submit};
    char detail[256];
    signal(SIGPIPE, SIG_IGN);
    thread_adopt_main();
    log_set_level(LOG_ERROR);
    snprintf(directory, sizeof directory, "/tmp/penstock-ingress-XXXXXX");
    cr_assert(mkdtemp(directory));
    for (unsigned i = 0; i < TEST_SHARDS; i++) {
        fakes[i] = (struct fake_journal){.journal.ops = &ops, .shard = i};
        journals[i] = &fakes[i].journal;
        budgets[i].bytes_max = 1 << 20;
    }
    cr_assert_eq(accounts_open(directory, &seed, &accounts, detail), OK, "%s", detail);
    change(ACCOUNTS_ADD_PARTNER, "shop", "");
    change(ACCOUNTS_ADD_CREDENTIAL, "shop", "");
    change(ACCOUNTS_ADD_ACCOUNT, "", "acc_1");
    change(ACCOUNTS_ADD_ACCOUNT, "", "acc_2");
    change(ACCOUNTS_GRANT, "shop", "acc_1");
    change(ACCOUNTS_ADD_ENDPOINT, "", "acc_1");
    if (intake_partner)
        make_journal_files();
    start_ingress(intake_partner);
}

void fixture_begin(void)
{
    begin(NULL);
}

void fixture_begin_broker(const char *intake_partner)
{
    begin(intake_partner);
}

struct call {
    struct mail mail;
    void (*run)(void);
    sem_t done;
};

static void on_call(struct mail *mail, void *receiver)
{
    struct call *call = CONTAINER_OF(mail, struct call, mail);
    call->run();
    sem_post(&call->done);
}

void ingress_call(void (*run)(void))
{
    struct call call = {.mail.on_receive = on_call, .run = run};
    sem_init(&call.done, 0, 0);
    mailbox_post(&ingress->mailbox, &call.mail);
    while (sem_wait(&call.done)) {
    }
    sem_destroy(&call.done);
}

void fixture_end(void)
{
    ingress_stop(ingress, 5 * US_PER_SECOND);
    ingress_join(ingress);
    journal_reader_stop(reader);
    accounts_stop(accounts);
    ingress_free(ingress);
    recent_keys_free(known);
    partner_limits_free(partner_limits);
    rejections_free(rejections);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_at_end(system(command) == 0);
    thread_leave_main();
}

int client_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, address_len), 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO,
                     &(struct timeval){.tv_sec = WAIT_SECONDS_MAX}, sizeof(struct timeval)),
        0);
    return fd;
}

void client_send(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void client_post_to(int fd, const char *path, const char *headers, struct slice body)
{
    struct buffer text = BUFFER_EMPTY;
    buffer_add_format(&text, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n", path,
        body.len, headers);
    buffer_add_slice(&text, body);
    /* The server may answer a large body before its end, and close. */
    for (size_t sent = 0; sent < text.len;) {
        ssize_t some = send(fd, text.data + sent, text.len - sent, MSG_NOSIGNAL);
        if (some <= 0)
            break;
        sent += (size_t)some;
    }
    buffer_done(&text);
}

void client_post(int fd, const char *headers, const char *body)
{
    client_post_to(fd, "/v1/events", headers, slice_from_string(body));
}

/* Reads byte by byte to the blank line, then as many bytes as Content-Length says. */
void client_receive(int fd, struct answer *ret_answer)
{
    *ret_answer = (struct answer){0};
    size_t len = 0;
    while (len < 4 || memcmp(ret_answer->head + len - 4, "\r\n\r\n", 4) != 0) {
        cr_assert(len + 1 < sizeof ret_answer->head);
        cr_assert_eq(recv(fd, ret_answer->head + len, 1, 0), 1, "no answer");
        len++;
    }
    cr_assert_eq(sscanf(ret_answer->head, "HTTP/1.1 %d", &ret_answer->status), 1);
    for (char *c = ret_answer->head; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    const char *length = strstr(ret_answer->head, "content-length: ");
    cr_assert(length, "%s", ret_answer->head);
    size_t body = (size_t)atoi(length + 16);
    cr_assert(body < sizeof ret_answer->body);
    for (size_t got = 0; got < body;) {
        ssize_t more = recv(fd, ret_answer->body + got, body - got, 0);
        cr_assert(more > 0);
        got += (size_t)more;
    }
}

bool client_has_answer(int fd)
{
    struct pollfd waited = {.fd = fd, .events = POLLIN};
    return poll(&waited, 1, 0) == 1;
}
