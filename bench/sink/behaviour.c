/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/behaviour.h"

#include "base/cleanup.h"
#include "common/quantity.h"
#include "common/random.h"

#include <math.h>
#include <string.h>

#define WHITE_SPACE " \t\r\n"
#define SIGMA_MAX 10
#define PI 3.14159265358979323846

void behaviour_init(struct behaviour *behaviour)
{
    *behaviour = (struct behaviour){.status = 200,
        .fail_status = 500,
        .retry_after_s = -1,
        .body = "{}",
        .body_len = sizeof "{}" - 1};
}

/* Cuts the text at the separator. Returns the text after it, or NULL when there is none. */
static char *split(char *text, const char *separator)
{
    char *found = strstr(text, separator);
    if (!found)
        return NULL;
    *found = '\0';
    return found + strlen(separator);
}

static bool parse_status(const char *text, unsigned *ret_status)
{
    int64_t status;
    if (!quantity_parse_between(text, 200, 599, &status))
        return false;
    *ret_status = (unsigned)status;
    return true;
}

static bool parse_sigma(const char *text, double *ret_sigma)
{
    char *end;
    double sigma = strtod(text, &end);
    if (*text < '0' || *text > '9' || *end != '\0' || sigma > SIGMA_MAX)
        return false;
    *ret_sigma = sigma;
    return true;
}

static bool parse_delay(char *value, struct behaviour *behaviour)
{
    char *first = split(value, ":"), *second = first ? split(first, ":") : NULL;
    if (!first) {
        behaviour->delay_kind = DELAY_FIXED;
        return quantity_parse_duration(value, &behaviour->delay_us);
    }
    if (!quantity_parse_duration(first, &behaviour->delay_us))
        return false;
    if (strcmp(value, "exp") == 0) {
        behaviour->delay_kind = DELAY_EXPONENTIAL;
        return !second;
    }
    if (strcmp(value, "uniform") == 0) {
        behaviour->delay_kind = DELAY_UNIFORM;
        return second && quantity_parse_duration(second, &behaviour->delay_upper_us) &&
               behaviour->delay_upper_us >= behaviour->delay_us;
    }
    behaviour->delay_kind = DELAY_LOGNORMAL;
    return strcmp(value, "lognormal") == 0 && second &&
           parse_sigma(second, &behaviour->delay_sigma);
}

static bool parse_own_status(char *value, struct behaviour *behaviour)
{
    return parse_status(value, &behaviour->status);
}

static bool parse_fail(char *value, struct behaviour *behaviour)
{
    char *status = split(value, ":");
    return quantity_parse_share(value, &behaviour->fail) &&
           (!status || parse_status(status, &behaviour->fail_status));
}

static bool parse_retry_after(char *value, struct behaviour *behaviour)
{
    return quantity_parse_between(value, 0, INT32_MAX, &behaviour->retry_after_s);
}

static bool parse_body(char *value, struct behaviour *behaviour)
{
    size_t len = strlen(value);
    if (len >= sizeof behaviour->body)
        return false;
    memcpy(behaviour->body, value, len + 1);
    behaviour->body_len = len;
    return true;
}

static bool parse_drop(char *value, struct behaviour *behaviour)
{
    char *on = split(value, ":");
    if (!quantity_parse_share(value, &behaviour->drop))
        return false;
    behaviour->drop_on = !on ? DROP_ON_ANY : strcmp(on, "new") == 0 ? DROP_ON_NEW : DROP_ON_WARM;
    return behaviour->drop_on != DROP_ON_WARM || strcmp(on, "warm") == 0;
}

static bool parse_cut(char *value, struct behaviour *behaviour)
{
    return quantity_parse_share(value, &behaviour->cut);
}

static bool parse_hang(char *value, struct behaviour *behaviour)
{
    return quantity_parse_share(value, &behaviour->hang);
}

static bool parse_window(char *value, struct windows *windows)
{
    char *to = split(value, "..");
    struct window window;
    if (!to || windows->count == BEHAVIOUR_WINDOWS_MAX ||
        !quantity_parse_duration(value, &window.from_us) ||
        !quantity_parse_duration(to, &window.to_us) || window.to_us <= window.from_us)
        return false;
    windows->windows[windows->count++] = window;
    return true;
}

static bool parse_down(char *value, struct behaviour *behaviour)
{
    return parse_window(value, &behaviour->down);
}

static bool parse_stall(char *value, struct behaviour *behaviour)
{
    return parse_window(value, &behaviour->stall);
}

static bool parse_workers(char *value, struct behaviour *behaviour)
{
    int64_t count;
    if (!quantity_parse_between(value, 1, BEHAVIOUR_WORKERS_MAX, &count))
        return false;
    behaviour->workers = (unsigned)count;
    return true;
}

static bool parse_slow_read(char *value, struct behaviour *behaviour)
{
    return quantity_parse_between(value, 1, INT32_MAX, &behaviour->slow_read_bytes);
}

static bool parse_secret(char *value, struct behaviour *behaviour)
{
    return behaviour->secrets_count < ENDPOINT_SECRETS_MAX &&
           secret_parse(slice_from_string(value), &behaviour->secrets[behaviour->secrets_count]) &&
           ++behaviour->secrets_count > 0;
}

static const struct word {
    const char *name, *form, *does;
    bool (*parse)(char *value, struct behaviour *behaviour); /* may write into `value` */
} words_table[] = {
    {"delay", "delay=DURATION, =exp:MEAN, =uniform:FROM:TO or =lognormal:MEDIAN:SIGMA",
        "waits before it answers", parse_delay},
    {"status", "status=200..599", "the status of its answers", parse_own_status},
    {"fail", "fail=SHARE or =SHARE:STATUS", "answers 500 or STATUS instead", parse_fail},
    {"retry-after", "retry-after=SECONDS", "adds the header to answers that are not 2xx",
        parse_retry_after},
    {"body", "body=TEXT, without spaces and at most 1023 bytes", "the body of its answers",
        parse_body},
    {"drop", "drop=SHARE, =SHARE:new or =SHARE:warm",
        "does the work, then closes the connection (new: at its first request; warm: at later "
        "requests)",
        parse_drop},
    {"cut", "cut=SHARE", "closes the connection in the middle of the answer", parse_cut},
    {"hang", "hang=SHARE", "does the work and never answers", parse_hang},
    {"down", "down=FROM..TO since the start, at most 16 times",
        "closes the connection and does no work", parse_down},
    {"stall", "stall=FROM..TO since the start, at most 16 times", "answers nothing until it ends",
        parse_stall},
    {"workers", "workers=1..64",
        "works on so many requests of a path at once (of each thread); others wait in order",
        parse_workers},
    {"slow-read", "slow-read=BYTES",
        "reads so many bytes a second (HTTP/2 and TLS: by the words of the path /)",
        parse_slow_read},
    {"secret", "secret=whsec_..., at most 4 times", "checks the signature (answers do not change)",
        parse_secret},
};

void behaviour_print_words(FILE *file)
{
    for (size_t i = 0; i < ARRAY_LENGTH(words_table); i++)
        fprintf(file, "  %s\n        %s\n", words_table[i].form, words_table[i].does);
}

static const struct word *find_word(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(words_table); i++)
        if (strcmp(words_table[i].name, name) == 0)
            return &words_table[i];
    return NULL;
}

static bool parse_word(
    const char *text, struct behaviour *behaviour, char ret_complaint[BEHAVIOUR_COMPLAINT_BYTES])
{
    AUTO_FREE char *name = strdup(text);
    char *value = name ? split(name, "=") : NULL;
    const struct word *word = name ? find_word(name) : NULL;
    if (!word)
        snprintf(ret_complaint, BEHAVIOUR_COMPLAINT_BYTES, "\"%.200s\" is not a word", text);
    else if (!value || !word->parse(value, behaviour))
        snprintf(
            ret_complaint, BEHAVIOUR_COMPLAINT_BYTES, "\"%.200s\" should be %s", text, word->form);
    else
        return true;
    return false;
}

bool behaviour_parse(const char *words, struct behaviour *ret_behaviour,
    char ret_complaint[BEHAVIOUR_COMPLAINT_BYTES])
{
    struct behaviour behaviour;
    behaviour_init(&behaviour);
    AUTO_FREE char *copy = strdup(words);
    char *rest = NULL;
    if (!copy) {
        snprintf(ret_complaint, BEHAVIOUR_COMPLAINT_BYTES, "out of memory");
        return false;
    }
    for (char *word = strtok_r(copy, WHITE_SPACE, &rest); word;
         word = strtok_r(NULL, WHITE_SPACE, &rest))
        if (!parse_word(word, &behaviour, ret_complaint))
            return false;
    if (behaviour.hang + behaviour.drop + behaviour.cut > 1 + 1e-9) {
        snprintf(ret_complaint, BEHAVIOUR_COMPLAINT_BYTES,
            "hang, drop and cut are more than 100%% in total");
        return false;
    }
    *ret_behaviour = behaviour;
    return true;
}

/* Maps near seeds to distant states. Never returns 0, which xorshift cannot leave. */
uint64_t behaviour_seed(uint64_t seed, unsigned thread)
{
    uint64_t state = random_at(seed, thread);
    return state ? state : 1;
}

/* xorshift64* (Vigna 2016). Returns a number from 0 to below 1. */
static double next_random(uint64_t *random)
{
    uint64_t x = *random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *random = x;
    return (double)((x * UINT64_C(0x2545f4914f6cdd1d)) >> 11) * 0x1p-53;
}

static int64_t draw_delay(const struct behaviour *behaviour, uint64_t *random)
{
    double base = (double)behaviour->delay_us, us = base;
    switch (behaviour->delay_kind) {
    case DELAY_FIXED:
        break;
    case DELAY_EXPONENTIAL:
        us = -base * log(1 - next_random(random));
        break;
    case DELAY_UNIFORM:
        us = base + next_random(random) * (double)(behaviour->delay_upper_us - behaviour->delay_us);
        break;
    case DELAY_LOGNORMAL: {
        double radius = sqrt(-2 * log(1 - next_random(random)));
        us = base * exp(behaviour->delay_sigma * radius * cos(2 * PI * next_random(random)));
    }
    }
    return us < (double)BEHAVIOUR_DELAY_US_MAX ? (int64_t)us : BEHAVIOUR_DELAY_US_MAX;
}

static enum sink_deed draw_deed(const struct behaviour *behaviour, bool warm, uint64_t *random)
{
    if (behaviour->hang + behaviour->drop + behaviour->cut == 0)
        return SINK_ANSWERED;
    double thrown = next_random(random);
    if (thrown < behaviour->hang)
        return SINK_NEVER_ENDED;
    thrown -= behaviour->hang;
    if (thrown < behaviour->drop) {
        bool here =
            behaviour->drop_on == DROP_ON_ANY || (behaviour->drop_on == DROP_ON_WARM) == warm;
        return here ? SINK_DROPPED : SINK_ANSWERED;
    }
    return thrown - behaviour->drop < behaviour->cut ? SINK_CUT_SHORT : SINK_ANSWERED;
}

/* Returns the first moment at or after `at_us` that is in no stall. Windows may overlap and be in
 * any order. */
static int64_t leave_stalls(const struct windows *stalls, int64_t at_us)
{
    for (unsigned i = 0; i < stalls->count; i++) {
        const struct window *window = &stalls->windows[i];
        if (at_us >= window->from_us && at_us < window->to_us) {
            at_us = window->to_us;
            i = UINT32_MAX; /* check all of them again; each window can move it only once */
        }
    }
    return at_us;
}

/* Returns the first moment of from_us..to_us that is in a window, or -1. */
static int64_t meets_window(const struct windows *windows, int64_t from_us, int64_t to_us)
{
    int64_t first_us = -1;
    for (unsigned i = 0; i < windows->count; i++) {
        const struct window *window = &windows->windows[i];
        int64_t at_us = window->from_us > from_us ? window->from_us : from_us;
        if (at_us <= to_us && at_us < window->to_us && (first_us < 0 || at_us < first_us))
            first_us = at_us;
    }
    return first_us;
}

static int64_t *first_free(struct workers *workers, unsigned count)
{
    int64_t *first = &workers->free_us[0];
    for (unsigned i = 1; i < count; i++)
        if (workers->free_us[i] < *first)
            first = &workers->free_us[i];
    return first;
}

void behaviour_draw(const struct behaviour *behaviour, bool warm, int64_t since_start_us,
    struct workers *workers, uint64_t *random, struct behaviour_draw *ret_draw)
{
    enum sink_deed deed = draw_deed(behaviour, warm, random);
    bool fails = behaviour->fail > 0 && next_random(random) < behaviour->fail;
    int64_t *worker = behaviour->workers > 0 && deed != SINK_NEVER_ENDED
                          ? first_free(workers, behaviour->workers)
                          : NULL;
    int64_t begins_us = worker && *worker > since_start_us ? *worker : since_start_us;
    int64_t due_us = leave_stalls(&behaviour->stall, begins_us + draw_delay(behaviour, random));
    if (deed == SINK_NEVER_ENDED)
        due_us = since_start_us;
    *ret_draw = (struct behaviour_draw){.deed = deed,
        .status = fails ? behaviour->fail_status : behaviour->status,
        .after_us = due_us - since_start_us};
    int64_t down_us = meets_window(&behaviour->down, since_start_us, due_us);
    if (down_us >= 0)
        *ret_draw =
            (struct behaviour_draw){.deed = SINK_DROPPED, .after_us = down_us - since_start_us};
    if (worker)
        *worker = since_start_us + ret_draw->after_us;
}
