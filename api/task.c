/* task.c - the tasks' names, as specifications have them. */
#include <string.h>

#include "api/handlers.h"
#include "api/json_raw.h"

static const struct {
    const char *word;
    enum prilora_task task;
} tasks[] = {
    {"auto", PRILORA_TASK_AUTO},
    {"classification", PRILORA_TASK_CLASSIFICATION},
    {"regression", PRILORA_TASK_REGRESSION},
    {"multi_label", PRILORA_TASK_MULTI_LABEL},
    {"token_classification", PRILORA_TASK_TOKEN_CLASSIFICATION},
    {"question_answering", PRILORA_TASK_QUESTION_ANSWERING},
};
#define N_TASKS (sizeof tasks / sizeof *tasks)

const char *api_task_word(enum prilora_task task)
{
    size_t i = 0;

    while (i + 1 < N_TASKS && tasks[i].task != task)
        i++;
    return tasks[i].word;
}

bool api_task_find(const char *word, size_t n, enum prilora_task *out)
{
    for (size_t i = 0; i < N_TASKS; i++) {
        if (strlen(tasks[i].word) == n && memcmp(tasks[i].word, word, n) == 0) {
            *out = tasks[i].task;
            return true;
        }
    }
    return false;
}

enum prilora_task api_task_of_spec(const char *spec)
{
    struct json_raw task = json_raw_member(json_raw_of(spec), "task");
    struct json_raw type = json_raw_member(task, "type");
    enum prilora_task out;

    if (type.n > 2 && api_task_find(type.at + 1, type.n - 2, &out)) /* within quotes */
        return out;
    return PRILORA_TASK_AUTO;
}
