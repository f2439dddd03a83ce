/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"
#include "main/commands.h"

#include <fcntl.h>
#include <sysexits.h>
#include <unistd.h>

/* The parent may have closed them: a file that is opened later must not become the output of the
 * log. Output to a closed stdout stays an error. */
static void reserve_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) != fd)
            _exit(EX_OSERR); /* there is no descriptor to print to */
}

int main(int argc, char **argv)
{
    static const struct cli_gateway_commands gateway = {.dev = command_dev,
        .serve = command_serve,
        .check = command_check,
        .accept_loss = command_accept_loss};
    reserve_standard_descriptors();
    return cli_finish_output(cli_run(argc, argv, &gateway));
}
