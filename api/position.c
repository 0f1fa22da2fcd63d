/* position.c - see position.h. */
#include "api/position.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_FIELDS 4

/* FNV-1a, 32 bits. */
static uint32_t check_digits(const char *job_id, const char *numbers, size_t n)
{
    uint32_t hash = 2166136261u;

    for (; *job_id; job_id++)
        hash = (hash ^ (unsigned char)*job_id) * 16777619u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)numbers[i]) * 16777619u;
    return hash;
}

void position_format(char out[POSITION_SIZE], const char *job_id, const struct position *position)
{
    int n = snprintf(out, POSITION_SIZE, "%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%x-",
                     (uint64_t)position->event, (uint64_t)position->metrics,
                     (uint64_t)position->layers, (unsigned)position->ended);

    snprintf(out + n, POSITION_SIZE - (size_t)n, "%08" PRIx32,
             check_digits(job_id, out, (size_t)n));
}

bool position_parse(struct position *out, const char *job_id, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    char again[POSITION_SIZE];
    uint64_t numbers[N_FIELDS];
    const char *at = text;

    for (size_t i = 0; i < N_FIELDS; i++) {
        size_t n = strspn(at, digits);

        if (n < 1 || n > 16 || at[n] != '-')
            return false;
        numbers[i] = strtoull(at, NULL, 16);
        if (numbers[i] > INT64_MAX)
            return false;
        at += n + 1;
    }
    *out = (struct position){(int64_t)numbers[0], (int64_t)numbers[1], (int64_t)numbers[2],
                             numbers[3] == 1};
    position_format(again, job_id, out);
    return strcmp(again, text) == 0;
}
