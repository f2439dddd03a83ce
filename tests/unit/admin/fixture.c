/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/admin/fixture.h"

#include "base/clock.h"
#include "journal/store.h"
#include "runtime/log.h"
#include "runtime/thread.h"
#include "support/at_end.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle\n";
}

static struct accounts *accounts;
static struct journal_reader *reader;
struct admin *admin;
static struct sockaddr_storage address;
static socklen_t address_len;
static char directory[64];

static enum err check_url(const char *url, const char **ret_problem, void *context)
{
    *ret_problem = "must be https";
    return strncmp(url, "https://", 8) == 0 ? OK : ERR_URL;
}

struct ownership owner;

static void answer_action(struct journal_operator_action *action, void *context)
{
    owner.asked++;
    action->ret_state = owner.result == OK ? action->to : owner.state;
    action->ret_refusal = owner.result == ERR_INVALID ? ACTION_UNROUTED : ACTION_NOT_REFUSED;
    owner.action = *action;
    request_answer(&action->ask, owner.result);
}

struct endpoint_test tested;

static void answer_test(struct endpoint_test *test, struct slice account, void *context)
{
    struct endpoint_test answer = tested;
    cr_assert(slice_equals_string(account, "acc_1"));
    answer.endpoint = tested.endpoint = test->endpoint;
    answer.ask = test->ask;
    *test = answer;
    request_answer(&test->ask, tested.ask.result);
}

struct admin_options fixture_options;

void fixture_begin(void)
{
    static const struct hash_seed seed = {{9}};
    char detail[256];
    const char *problem;
    int fd;
    signal(SIGPIPE, SIG_IGN);
    thread_adopt_main();
    log_set_level(LOG_ERROR);
    snprintf(directory, sizeof directory, "/tmp/penstock-admin-XXXXXX");
    cr_assert(mkdtemp(directory));
    cr_assert_eq(accounts_open(directory, &seed, &accounts, detail), OK, "%s", detail);
    cr_assert_eq(journal_reader_open(directory, 1, &reader), OK);
    cr_assert(http_parse_address("127.0.0.1:0", &address, &address_len, &problem));
    cr_assert_eq(http_listen(&address, address_len, &fd), OK);
    struct admin_options options = fixture_options;
    options.listen_fd = fd;
    options.token = SLICE_LITERAL(TOKEN);
    options.accounts = accounts;
    options.reader = reader;
    options.shards = 1;
    options.installation = (struct admin_installation){
        .id = INSTALLATION, .seed = seed, .partitions = 16, .receipt_key = "k"};
    options.check_url = check_url;
    options.action = answer_action;
    options.test_endpoint = answer_test;
    cr_assert_eq(admin_new(&options, &admin), OK);
    cr_assert_eq(admin_start(admin), OK);
}

void fixture_end(void)
{
    admin_stop(admin);
    admin_join(admin);
    journal_reader_stop(reader);
    accounts_stop(accounts);
    admin_free(admin);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_at_end(system(command) == 0);
    thread_leave_main();
}

void fixture_make_journal(void)
{
    static struct store store;
    char detail[256];
    const struct store_options options = {
        .directory = directory, .expiry = {7 * US_PER_DAY, 90 * US_PER_DAY}};
    cr_assert_eq(store_open(&store, &options, detail), OK, "%s", detail);
    store_close(&store, false);
}

char answer_body[ANSWER_BYTES];

const char *fixture_host = "localhost", *fixture_origin;

int ask(const char *method, const char *path, const char *token, const char *body)
{
    static char text[ANSWER_BYTES];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, address_len), 0);
    int len = snprintf(text, sizeof text,
        "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s%s%s%s"
        "Content-Length: %zu\r\n\r\n%s",
        method, path, fixture_host, fixture_origin ? "Origin: " : "",
        fixture_origin ? fixture_origin : "", fixture_origin ? "\r\n" : "",
        token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "",
        strlen(body), body);
    cr_assert_eq(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
    size_t got = 0;
    for (ssize_t more; (more = recv(fd, text + got, sizeof text - 1 - got, 0)) > 0;)
        got += (size_t)more;
    close(fd);
    text[got] = '\0';
    cr_assert_eq(sscanf(text, "HTTP/1.1 %d", &status), 1, "%s %s: no answer", method, path);
    const char *blank = strstr(text, "\r\n\r\n");
    cr_assert(blank);
    snprintf(answer_body, sizeof answer_body, "%s", blank + 4);
    return status;
}

const struct sockaddr_storage *fixture_address(socklen_t *ret_len)
{
    *ret_len = address_len;
    return &address;
}

int operate(const char *method, const char *path, const char *body)
{
    return ask(method, path, TOKEN, body);
}

const char *member(const char *name)
{
    static char value[512];
    json_t *root = json_loads(answer_body, 0, NULL);
    const char *text = json_string_value(json_object_get(root, name));
    snprintf(value, sizeof value, "%s", text ? text : "");
    json_decref(root);
    return value;
}

bool answer_is(const char *json)
{
    json_t *got = json_loads(answer_body, 0, NULL), *wanted = json_loads(json, 0, NULL);
    cr_assert(wanted, "%s", json);
    bool same = json_equal(got, wanted);
    json_decref(got);
    json_decref(wanted);
    return same;
}

bool names_fields(const char *pointers)
{
    char named[512] = "";
    size_t i;
    json_t *root = json_loads(answer_body, 0, NULL), *error;
    json_array_foreach(json_object_get(root, "errors"), i, error)
    {
        const char *pointer = json_string_value(json_object_get(error, "pointer"));
        snprintf(named + strlen(named), sizeof named - strlen(named), "%s%s", i ? " " : "",
            pointer ? pointer : "?");
    }
    json_decref(root);
    return strcmp(named, pointers) == 0;
}

void make_account(const char *account)
{
    char body[128];
    snprintf(body, sizeof body, "{\"id\":\"%s\"}", account);
    cr_assert_eq(operate("POST", "/api/v1/accounts", body), 201, "%s", answer_body);
}
