/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/client/h2_server.h"

#include "base/cleanup.h"
#include "support/wait_until.h"
#include "unit/client/certificates.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM PENSTOCK_SOURCE_DIR "/tests/support/h2_server.py"
#define ARGUMENTS_MAX 24
#define MARK "mark\n"

static void take_line(struct h2_server *server, const char *line)
{
    static const char *const words[] = {
        "connection\n", "http_1\n", "plaintext\n", "handled ", "refused ", "ignored ", MARK};
    _Atomic unsigned *const counters[] = {&server->connections, &server->http_1, &server->plaintext,
        &server->handled, &server->refused, &server->ignored, &server->marks};
    unsigned id;
    if (sscanf(line, "handled %u", &id) == 1 && id < H2_SERVER_IDS_MAX)
        server->handled_of[id]++;
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
        if (strncmp(line, words[i], strlen(words[i])) == 0)
            (*counters[i])++;
}

static void *read_output(void *context)
{
    struct h2_server *server = context;
    char line[256];
    while (fgets(line, sizeof line, server->output))
        take_line(server, line);
    return NULL;
}

static void make_identity(struct h2_server *server, char key[96])
{
    struct identity identity;
    strcpy(server->directory, "/tmp/penstock-unit-XXXXXX");
    cr_assert(mkdtemp(server->directory) != NULL);
    snprintf(server->certificate, sizeof server->certificate, "%s/cert.pem", server->directory);
    snprintf(key, 96, "%s/key.pem", server->directory);
    identity_make(
        &identity, &(struct identity_options){.common_name = "sink.test", .dns_name = "sink.test"});
    identity_write(identity.certificate_pem, server->certificate);
    identity_write(identity.key_pem, key);
}

static pid_t run(char *const *arguments, int out_fd)
{
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also if the test fails */
    dup2(out_fd, 1);
    execv(PROGRAM, arguments);
    _exit(127);
}

void h2_server_start(struct h2_server *server, const char *const *options)
{
    char key[96], certificate_option[128], key_option[128], line[64];
    memset(server, 0, sizeof *server);
    make_identity(server, key);
    snprintf(certificate_option, sizeof certificate_option, "certificate=%s", server->certificate);
    snprintf(key_option, sizeof key_option, "key=%s", key);
    const char *arguments[ARGUMENTS_MAX] = {PROGRAM, certificate_option, key_option};
    for (int i = 3; options && *options; i++)
        arguments[i] = *options++;
    int fds[2];
    cr_assert(pipe2(fds, O_CLOEXEC) == 0);
    server->pid = run((char *const *)arguments, fds[1]);
    server->mark_fd = fds[1];
    server->output = fdopen(fds[0], "r");
    cr_assert(
        fgets(line, sizeof line, server->output) && sscanf(line, "port %u", &server->port) == 1,
        "%s did not start: it needs python3-h2", PROGRAM);
    unlink(key);
    cr_assert(pthread_create(&server->thread, NULL, read_output, server) == 0);
}

void h2_server_settle(struct h2_server *server)
{
    unsigned marks = server->marks + 1;
    cr_assert(write(server->mark_fd, MARK, strlen(MARK)) == (ssize_t)strlen(MARK));
    WAIT_UNTIL(server->marks == marks);
}

void h2_server_stop(struct h2_server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    close(server->mark_fd); /* the last writer: the thread ends */
    pthread_join(server->thread, NULL);
    fclose(server->output);
    unlink(server->certificate);
    rmdir(server->directory);
}
