/* commands.h - the table that the parser, --help, completion and the tests are made from. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "api/cli/cli.h"

enum completes {
    COMPLETE_NOTHING,
    COMPLETE_PATH, /* a file here */
    COMPLETE_DATA, /* a file here, or the id of an uploaded one */
    COMPLETE_FILE, /* the id of an uploaded file */
    COMPLETE_JOB,
    COMPLETE_BASE,    /* a base model */
    COMPLETE_ADAPTER, /* a finished adapter */
    COMPLETE_MODEL,   /* either */
    COMPLETE_TARGET,  /* a job or a finished adapter */
    COMPLETE_KEY,
    COMPLETE_PULL,
    COMPLETE_EXPERIMENT,
    COMPLETE_CONFIG,
    COMPLETE_COMMAND,
    COMPLETE_TASK, /* a kind of labels, or a GLUE task */
};

struct option_spec { /* an array ends with a name of NULL */
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* what stands for it in the help, "a|b" for words; NULL: takes none */
    const char *help;
    enum completes completes;
};

#define ANY_NUMBER 1000

struct command {
    const char *name;      /* one word or two */
    const char *arguments; /* for the help */
    const char *summary;
    size_t least, most; /* how many arguments */
    enum completes completes;
    const struct option_spec *options;
    int (*run)(struct call *call);
    const char *details;      /* more for its --help; NULL: none */
    bool is_hidden, is_local; /* local: needs no daemon, hence no connection */
};

extern const struct command commands[];
extern const size_t n_commands;
extern const struct option_spec common_options[];

/* The command of these words; *n_words says how many of them are its name. NULL: none. */
const struct command *command_find(const char *const *words, size_t n, size_t *n_words);
/* One of the command's options or the common ones; NULL: none. `n` bytes of name. */
const struct option_spec *command_option(const struct command *command, const char *name, size_t n);

/* Fills a call; on failure the user has been told. command is NULL if there was none. */
int arguments_parse(struct call *call, int argc, char **argv);

void help_program(FILE *out);
void help_command(FILE *out, const struct command *command);

/* ---- the commands, each in the file of its idea ---- */

int run_submit(struct call *call);
int run_list(struct call *call);
int run_show(struct call *call);
int run_watch(struct call *call);
int run_layers(struct call *call);
int run_ranks(struct call *call);
int run_metrics(struct call *call);
int run_events(struct call *call);
int run_checkpoints(struct call *call);
int run_cancel(struct call *call);
int run_pause(struct call *call);
int run_resume(struct call *call);
int run_priority(struct call *call);
int run_delete(struct call *call);
int run_download(struct call *call);
int run_predict(struct call *call);
int run_upload(struct call *call);
int run_files(struct call *call);
int run_files_show(struct call *call);
int run_files_delete(struct call *call);
int run_files_download(struct call *call);
int run_models(struct call *call);
int run_models_show(struct call *call);
int run_models_delete(struct call *call);
int run_pull(struct call *call);
int run_pulls(struct call *call);
int run_pulls_cancel(struct call *call);
int run_experiments(struct call *call);
int run_experiment_submit(struct call *call);
int run_experiment_show(struct call *call);
int run_experiment_results(struct call *call);
int run_experiment_watch(struct call *call);
int run_experiment_cancel(struct call *call);
int run_experiment_pause(struct call *call);
int run_experiment_resume(struct call *call);
int run_experiment_retry(struct call *call);
int run_experiment_delete(struct call *call);
int run_keys(struct call *call);
int run_keys_create(struct call *call);
int run_keys_revoke(struct call *call);
int run_backup(struct call *call);
int run_restore(struct call *call);
int run_gc(struct call *call);
int run_config(struct call *call);
int run_config_set(struct call *call);
int run_config_unset(struct call *call);
int run_status(struct call *call);
int run_version(struct call *call);
int run_help(struct call *call);
int run_complete(struct call *call);

#endif
