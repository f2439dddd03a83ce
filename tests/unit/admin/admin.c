/* SPDX-License-Identifier: Apache-2.0 */
/* The admin API over a plain socket, with real accounts and a reader without journals. */
#include "admin/admin.h"

#include "base/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/thread.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TOKEN "at_0123456789abcdef"
#define ANSWER_BYTES 65536

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle\n";
}

static struct accounts *accounts;
static struct journal_reader *reader;
static struct admin *admin;
static struct sockaddr_storage address;
static socklen_t address_len;
static char directory[64];

static enum err check_url(const char *url, const char **ret_problem, void *context)
{
    *ret_problem = "must be https";
    return strncmp(url, "https://", 8) == 0 ? OK : ERR_URL;
}

static void begin(void)
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
    struct admin_options options = {.listen_fd = fd,
        .token = SLICE_LITERAL(TOKEN),
        .accounts = accounts,
        .reader = reader,
        .shards = 1,
        .check_url = check_url};
    cr_assert_eq(admin_new(&options, &admin), OK);
    cr_assert_eq(admin_start(admin), OK);
}

static void end(void)
{
    admin_stop(admin);
    admin_join(admin);
    journal_reader_stop(reader);
    accounts_stop(accounts);
    admin_free(admin);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
    thread_leave_main();
}

TestSuite(admin, .init = begin, .fini = end);

static char answer_body[ANSWER_BYTES];

/* One request on a connection of its own; returns the status and leaves the body in answer_body. */
static int ask(const char *method, const char *path, const char *token, const char *body)
{
    static char text[ANSWER_BYTES];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, address_len), 0);
    int len = snprintf(text, sizeof text,
        "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s%s%sContent-Length: %zu\r\n\r\n%s", method, path,
        token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "", strlen(body), body);
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

static int operate(const char *method, const char *path, const char *body)
{
    return ask(method, path, TOKEN, body);
}

/* A text member of the last answer; valid until the next call. */
static const char *member(const char *name)
{
    static char value[512];
    json_t *root = json_loads(answer_body, 0, NULL);
    const char *text = json_string_value(json_object_get(root, name));
    snprintf(value, sizeof value, "%s", text ? text : "");
    json_decref(root);
    return value;
}

static void make_account(void)
{
    cr_assert_eq(operate("POST", "/api/v1/accounts", "{\"id\":\"acc_1\"}"), 201);
}

Test(admin, health_needs_no_token_and_follows_readiness)
{
    cr_assert_eq(ask("GET", "/livez", NULL, ""), 200);
    cr_assert_eq(ask("GET", "/readyz", NULL, ""), 503);
    admin_set_ready(admin, true);
    cr_assert_eq(ask("GET", "/readyz", NULL, ""), 200);
    cr_assert_eq(ask("GET", "/readyz?verbose", NULL, ""), 200);
    cr_assert(strstr(answer_body, "[+] started"), "%s", answer_body);
}

Test(admin, a_failed_journal_is_not_ready)
{
    admin_set_ready(admin, true);
    metrics_add(METRIC_JOURNAL_FAILED, 1);
    cr_assert_eq(ask("GET", "/readyz?verbose", NULL, ""), 503);
    cr_assert(strstr(answer_body, "[-] journals"), "%s", answer_body);
    metrics_add(METRIC_JOURNAL_FAILED, -1);
}

Test(admin, metrics_name_every_row_of_the_table)
{
    static const char *const names[] = {
#define X(symbol, type, name, labels, help) "\n" name,
        METRIC_TABLE(X)
#undef X
#define X(symbol, name, help) "\n" name "_bucket{le=\"+Inf\"}",
            HISTOGRAM_TABLE(X)
#undef X
    };
    cr_assert_eq(ask("GET", "/metrics", NULL, ""), 200);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        cr_assert(strstr(answer_body, names[i]), "%s is missing", names[i] + 1);
}

Test(admin, the_api_needs_the_token)
{
    static const char *const paths[] = {"/api/v1/status", "/api/v1/partners", "/api/v1/accounts",
        "/api/v1/accounts/a/endpoints", "/api/v1/events/evt_01890a5d-ac96-774b-bcce-b302099a8057"};
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        cr_assert_eq(ask("GET", paths[i], NULL, ""), 401, "%s", paths[i]);
        cr_assert_eq(ask("GET", paths[i], "at_wrong", ""), 401, "%s", paths[i]);
        cr_assert_eq(ask("GET", paths[i], TOKEN "x", ""), 401, "%s", paths[i]);
    }
}

Test(admin, partners_get_keys_and_accounts)
{
    make_account();
    cr_assert_eq(operate("POST", "/api/v1/partners", "{\"id\":\"shop\"}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners", "{\"id\":\"shop\"}"), 409);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/keys", "{}"), 201);
    cr_assert(strncmp(member("api_key"), "pk_", 3) == 0);
    cr_assert_eq(operate("POST", "/api/v1/partners/nobody/keys", "{}"), 404);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/accounts", "{\"account\":\"acc_1\"}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/accounts", "{\"account\":\"acc_2\"}"), 404);
    cr_assert_eq(operate("GET", "/api/v1/partners", ""), 200);
    cr_assert(strstr(answer_body, "\"shop\""));
}

Test(admin, wrong_bodies_name_the_field)
{
    static const struct {
        const char *body, *pointer;
        int status;
    } cases[] = {
        {"", "", 400},
        {"[]", "", 400},
        {"{\"id\":1}", "/id", 422},
        {"{}", "/id", 422},
        {"{\"id\":\"a b\"}", "", 422},
        {"{\"id\":\"a\",\"colour\":\"red\"}", "/colour", 422},
        {"{\"id\":\"a\",\"id\":\"b\"}", "", 400},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_assert_eq(
            operate("POST", "/api/v1/accounts", cases[i].body), cases[i].status, "%s: %s", cases[i].body, answer_body);
        cr_assert(strstr(answer_body, cases[i].pointer), "%s: %s", cases[i].body, answer_body);
    }
}

Test(admin, endpoints_are_added_shown_and_changed)
{
    char path[256];
    make_account();
    cr_assert_eq(operate("POST", "/api/v1/accounts/acc_1/endpoints", "{\"url\":\"https://a.example/in\"}"), 201, "%s",
        answer_body);
    cr_assert(strncmp(member("secret"), "whsec_", 6) == 0);
    snprintf(path, sizeof path, "/api/v1/accounts/acc_1/endpoints/%s", member("id"));
    cr_assert_eq(operate("GET", path, ""), 200);
    cr_assert_str_eq(member("url"), "https://a.example/in");
    cr_assert_str_eq(member("secret"), "", "a secret is shown once");
    cr_assert_eq(operate("PATCH", path, "{\"url\":\"https://b.example/in\"}"), 200);
    cr_assert_eq(operate("PATCH", path, "{\"enabled\":false}"), 200);
    cr_assert_eq(operate("GET", path, ""), 200);
    cr_assert_str_eq(member("url"), "https://b.example/in", "what is not named stays");
    cr_assert(strstr(answer_body, "\"enabled\":false"), "%s", answer_body);
    cr_assert_eq(operate("GET", "/api/v1/accounts/acc_1/endpoints", ""), 200);
    cr_assert(strstr(answer_body, "b.example"));
}

Test(admin, an_endpoint_is_found_only_under_its_account_and_only_with_a_url_that_is_allowed)
{
    char path[256];
    make_account();
    cr_assert_eq(operate("POST", "/api/v1/accounts", "{\"id\":\"acc_2\"}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/accounts/acc_1/endpoints", "{\"url\":\"http://a.example/\"}"), 422);
    cr_assert(strstr(answer_body, "\"/url\"") && strstr(answer_body, "must be https"), "%s", answer_body);
    cr_assert_eq(operate("POST", "/api/v1/accounts/nobody/endpoints", "{\"url\":\"https://a.example/\"}"), 404);
    cr_assert_eq(operate("POST", "/api/v1/accounts/acc_1/endpoints", "{\"url\":\"https://a.example/\"}"), 201);
    snprintf(path, sizeof path, "/api/v1/accounts/acc_2/endpoints/%s", member("id"));
    cr_assert_eq(operate("GET", path, ""), 404);
    cr_assert_eq(operate("PATCH", path, "{\"enabled\":false}"), 404);
    cr_assert_eq(operate("PATCH", "/api/v1/accounts/acc_1/endpoints/ep_nonsense", "{\"enabled\":false}"), 404);
}

Test(admin, what_is_no_event_id_is_not_found)
{
    cr_assert_eq(operate("GET", "/api/v1/events/1", ""), 404);
    cr_assert_eq(operate("DELETE", "/api/v1/events/1", ""), 405);
    cr_assert_eq(operate("GET", "/api/v1/nothing", ""), 404);
}
