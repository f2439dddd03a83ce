/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/options.h"

#include "base/cleanup.h"
#include "common/quantity.h"
#include "common/server.h"

#include <getopt.h>

#define WHITE_SPACE " \t\r\n"

enum option_code {
    OPTION_PORT = 256,
    OPTION_THREADS,
    OPTION_LOG,
    OPTION_READY,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_BEHAVE,
    OPTION_SEED,
    OPTION_HELP
};

static const struct option long_options[] = {{"port", required_argument, NULL, OPTION_PORT},
    {"threads", required_argument, NULL, OPTION_THREADS}, {"log", required_argument, NULL, OPTION_LOG},
    {"ready-file", required_argument, NULL, OPTION_READY}, {"tls-cert", required_argument, NULL, OPTION_CERT},
    {"tls-key", required_argument, NULL, OPTION_KEY}, {"behave", required_argument, NULL, OPTION_BEHAVE},
    {"seed", required_argument, NULL, OPTION_SEED}, {"help", no_argument, NULL, OPTION_HELP}, {NULL, 0, NULL, 0}};

void options_print_help(FILE *file)
{
    fputs("usage: penstock-sink [--port N] [--threads N] [--log FILE] [--ready-file FILE] [--seed N]\n"
          "                     [--tls-cert FILE --tls-key FILE] [--behave 'PATH WORDS...']...\n\n"
          "Plays client deployments on 127.0.0.1 until SIGTERM. Without words it answers 200 and {}. A path's words\n"
          "are for all requests to it and below it; the longest path wins. At run time: PUT /_behave/PATH with the\n"
          "words as body, GET /_counts.\n\nwords:\n",
        file);
    behaviour_print_words(file);
}

static enum err complain(const char *option, const char *value, const char *should)
{
    fprintf(stderr, "penstock-sink: %s %s: %s\n", option, value, should);
    return ERR_USAGE;
}

static enum err parse_number(const char *option, int64_t min, int64_t max, const char *should, int64_t *ret_number)
{
    int64_t number;
    if (!quantity_parse_count(optarg, &number) || number < min || number > max)
        return complain(option, optarg, should);
    *ret_number = number;
    return OK;
}

static enum err parse_behave(const char *text, struct paths *paths)
{
    char complaint[BEHAVIOUR_COMPLAINT_BYTES];
    struct behaviour behaviour;
    text += strspn(text, WHITE_SPACE);
    size_t path_len = strcspn(text, WHITE_SPACE);
    if (!behaviour_parse(text + path_len, &behaviour, complaint)) {
        fprintf(stderr, "penstock-sink: --behave %.*s: %s\n", (int)path_len, text, complaint);
        return ERR_USAGE;
    }
    enum err result = paths_put(paths, slice_of(text, path_len), &behaviour);
    if (result == ERR_BAD_REQUEST)
        return complain("--behave", text, "should begin with a path: a '/' and at most 255 bytes");
    return result ? complain("--behave", text, "too many paths") : OK;
}

static enum err take(int option, struct paths *paths, struct sink_options *options)
{
    int64_t number = 0;
    enum err result = OK;
    switch (option) {
    case OPTION_PORT:
        result = parse_number("--port", 0, 65535, "should be a number from 0 to 65535", &number);
        options->port = (unsigned)number;
        break;
    case OPTION_THREADS:
        result = parse_number("--threads", 1, SERVER_THREADS_MAX, "should be a number from 1 to 16", &number);
        options->threads = (unsigned)number;
        break;
    case OPTION_SEED:
        result = parse_number("--seed", 0, INT64_MAX, "should be a number", &number);
        options->seed = (uint64_t)number;
        break;
    case OPTION_LOG:
        options->log_file = optarg;
        break;
    case OPTION_READY:
        options->ready_file = optarg;
        break;
    case OPTION_CERT:
        options->certificate_file = optarg;
        break;
    case OPTION_KEY:
        options->key_file = optarg;
        break;
    case OPTION_BEHAVE:
        result = parse_behave(optarg, paths);
        break;
    case OPTION_HELP:
        options->help = true;
        break;
    default: /* getopt has complained */
        result = ERR_USAGE;
    }
    return result;
}

enum err options_parse(int argc, char **argv, struct paths *paths, struct sink_options *ret_options)
{
    struct sink_options options = {.threads = 1};
    int option;
    enum err result = OK;
    while (!result && (option = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
        result = take(option, paths, &options);
    if (result)
        return result;
    if (optind < argc)
        return complain("argument", argv[optind], "all arguments are options, see --help");
    if (!options.certificate_file != !options.key_file)
        return complain(options.key_file ? "--tls-key" : "--tls-cert",
            options.key_file ? options.key_file : options.certificate_file, "needs the other one too");
    *ret_options = options;
    return OK;
}
