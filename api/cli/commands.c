/* commands.c - the table of commands. A new one is a row here and a function. */
#include "api/cli/commands.h"

#include <string.h>

const struct option_spec common_options[] = {
    {"url", 0, "URL", "where the daemon is", COMPLETE_NOTHING},
    {"key", 0, "KEY", "the key to show it", COMPLETE_NOTHING},
    {"socket", 0, "PATH", "reach it by this Unix socket", COMPLETE_PATH},
    {"cacert", 0, "FILE", "certificates to trust (PEM)", COMPLETE_PATH},
    {"insecure", 0, NULL, "trust any certificate", COMPLETE_NOTHING},
    {"json", 0, NULL, "print what the daemon answers, as it is", COMPLETE_NOTHING},
    {"help", 'h', NULL, "tell about a command", COMPLETE_NOTHING},
    {NULL, 0, NULL, NULL, COMPLETE_NOTHING},
};

#define END                                                                                        \
    {                                                                                              \
        NULL, 0, NULL, NULL, COMPLETE_NOTHING                                                      \
    }

static const struct option_spec none[] = {END};

static const struct option_spec submit_options[] = {
    {"model", 'm', "MODEL", "base model, or a finished adapter to go on from", COMPLETE_MODEL},
    {"valid", 0, "DATA", "validation data; else a tenth of the training data is held out",
     COMPLETE_DATA},
    {"method", 0, "prilora|lora|head|supervised", "how to train; default prilora",
     COMPLETE_NOTHING},
    {"set", 's', "NAME=VALUE", "a setting of the method, as n_epochs=3 or ranks=4,6,8",
     COMPLETE_NOTHING},
    {"ranks", 0, "RANKS", "of each layer, as 4,6,8; or suggest: by what --ranks-from has learned",
     COMPLETE_NOTHING},
    {"ranks-from", 0, "JOB", "a finished job, or its adapter, that suggests the ranks",
     COMPLETE_TARGET},
    {"task", 0, "TASK", "a kind of labels, or a GLUE task by name; else told by the data",
     COMPLETE_TASK},
    {"mismatched", 0, "DATA", "of task mnli: its mismatched validation data", COMPLETE_DATA},
    {"preset", 0, "none|adalora", "published settings of a GLUE task; --set wins over them",
     COMPLETE_NOTHING},
    {"metric", 0, "METRIC", "what the best adapter is chosen by", COMPLETE_NOTHING},
    {"seed", 0, "N", "of all that is random", COMPLETE_NOTHING},
    {"suffix", 0, "TEXT", "part of the new model's name", COMPLETE_NOTHING},
    {"metadata", 0, "NAME=TEXT", "kept with the job; may be given again", COMPLETE_NOTHING},
    {"priority", 0, "N", "-100 to 100; higher ones run first", COMPLETE_NOTHING},
    {"from-file", 'f', "FILE", "the job as JSON (- for stdin); other options win over it",
     COMPLETE_PATH},
    {"watch", 'w', NULL, "then follow it to its end", COMPLETE_NOTHING},
    END,
};

static const struct option_spec list_options[] = {
    {"status", 0, "STATUS,...", "only these, as running,queued", COMPLETE_NOTHING},
    {"metadata", 0, "NAME=TEXT", "only with this metadata; may be given again", COMPLETE_NOTHING},
    {"limit", 'n', "N", "how many; default 20", COMPLETE_NOTHING},
    {"all", 'a', NULL, "all of them", COMPLETE_NOTHING},
    END,
};

static const struct option_spec watch_options[] = {
    {"timeout", 't', "TIME", "give up after so long, as 90, 15m or 24h", COMPLETE_NOTHING},
    {"all", 'a', NULL, "the events from the first on, not the last ten", COMPLETE_NOTHING},
    END,
};

static const struct option_spec layers_options[] = {
    {"full", 0, NULL, "all numbers, one map a line", COMPLETE_NOTHING},
    END,
};

static const struct option_spec ranks_options[] = {
    {"budget", 0, "N", "parameters that the adapters may have; default: as the job's",
     COMPLETE_NOTHING},
    {"energy", 0, "SHARE", "stop where so much of the update is held, as 0.95", COMPLETE_NOTHING},
    {"full", 0, NULL, "all numbers, one map a line", COMPLETE_NOTHING},
    END,
};

static const struct option_spec limit_options[] = {
    {"limit", 'n', "N", "the newest so many", COMPLETE_NOTHING},
    {"all", 'a', NULL, "all of them", COMPLETE_NOTHING},
    END,
};

static const struct option_spec download_options[] = {
    {"output", 'o', "PATH", "the folder, or with --tar the file; default: the job's id",
     COMPLETE_PATH},
    {"tar", 0, NULL, "keep the archive as it is", COMPLETE_NOTHING},
    {"merged", 0, NULL, "the base model with the adapter merged into it", COMPLETE_NOTHING},
    {"uniform", 0, NULL, "ranks filled up with zeros to one rank for all", COMPLETE_NOTHING},
    END,
};

static const struct option_spec output_options[] = {
    {"output", 'o', "FILE", "default: the name it was uploaded with; - for stdout", COMPLETE_PATH},
    END,
};

static const struct option_spec predict_options[] = {
    {"file", 'f', "FILE", "texts, one a line (- for stdin)", COMPLETE_PATH},
    {"question", 0, "TEXT", "is asked of every text; @FILE: what stands there", COMPLETE_NOTHING},
    {"context", 0, "TEXT", "where answers are looked for; the texts are questions",
     COMPLETE_NOTHING},
    {"jsonl", 0, NULL, "each line is JSON: a text, or {\"text\"}, {\"question\"}, ...",
     COMPLETE_NOTHING},
    {"pairs", 0, NULL, "each line is two texts with a tab between", COMPLETE_NOTHING},
    {"top", 'k', "N", "the N most probable labels or answers of each", COMPLETE_NOTHING},
    {"words", 0, NULL, "of named entities: every word with its tag, as in a CoNLL file",
     COMPLETE_NOTHING},
    {"batch", 0, "N", "texts a request; default 32", COMPLETE_NOTHING},
    END,
};

static const struct option_spec pull_options[] = {
    {"to", 0, "DIR", "into this folder of models here, without a daemon", COMPLETE_PATH},
    {"revision", 0, "NAME", "branch, tag or commit; default main", COMPLETE_NOTHING},
    {"force", 0, NULL, "again, although it is there", COMPLETE_NOTHING},
    {"detach", 'd', NULL, "start it and do not wait", COMPLETE_NOTHING},
    END,
};

static const struct option_spec grid_options[] = {
    {"model", 'm', "MODEL", "base model, or a finished adapter to go on from", COMPLETE_MODEL},
    {"method", 0, "NAME[=TYPE]", "prilora, lora, ...; may be given again", COMPLETE_NOTHING},
    {"task", 0, "NAME=DATA[,DATA]", "training and validation data; may be given again",
     COMPLETE_NOTHING},
    {"set", 's', "NAME=VALUE", "a setting of all methods, or as lora.r=4 of one", COMPLETE_NOTHING},
    {"seeds", 0, "N|N,N,...", "how many, or which; default 5", COMPLETE_NOTHING},
    {"data", 0, "DIR", "where the files are that the grid names; default: beside it",
     COMPLETE_PATH},
    {"name", 0, "TEXT", "of the experiment", COMPLETE_NOTHING},
    {"metadata", 0, "NAME=TEXT", "kept with it and its jobs; may be given again", COMPLETE_NOTHING},
    {"priority", 0, "N", "-100 to 100; jobs of higher ones run first", COMPLETE_NOTHING},
    {"watch", 'w', NULL, "then follow it to its end", COMPLETE_NOTHING},
    END,
};

static const struct option_spec results_options[] = {
    {"format", 0, "markdown|csv|json", "default markdown", COMPLETE_NOTHING},
    {"metric", 0, "METRIC", "of all tasks, not the one each is judged by", COMPLETE_NOTHING},
    {"compare", 0, "METHOD,METHOD", "these two; default: the first with each other",
     COMPLETE_NOTHING},
    END,
};

static const struct option_spec follow_options[] = {
    {"timeout", 't', "TIME", "give up after so long, as 90, 15m or 24h", COMPLETE_NOTHING},
    END,
};

static const struct option_spec key_options[] = {
    {"scope", 0, "read|submit|admin", "what it may do; default submit", COMPLETE_NOTHING},
    {"expires", 0, "TIME", "how long it is good for, as 24h or 90d; default for ever",
     COMPLETE_NOTHING},
    {"max-queued-jobs", 0, "N", "jobs it may have waiting at a time", COMPLETE_NOTHING},
    {"max-bytes", 0, "N", "bytes of files it may keep", COMPLETE_NOTHING},
    END,
};

static const struct option_spec backup_options[] = {
    {"force", 0, NULL, "replace a file of that name", COMPLETE_NOTHING},
    END,
};

static const struct option_spec gc_options[] = {
    {"dry-run", 0, NULL, "only list what would go", COMPLETE_NOTHING},
    END,
};

const struct command commands[] = {
    {"submit", "[DATA]", "upload data and queue a training job", 0, 1, COMPLETE_DATA,
     submit_options, run_submit,
     "DATA is a file of labelled text (.jsonl, .csv, .tsv, .conll, or SQuAD's .json) or the id\n"
     "of one that was uploaded.\n"
     "Values of --set are numbers, true or false, lists with commas, JSON, or else text; a name\n"
     "with a dot reaches beyond the method, as task.metric=f1. Prints the job's id.\n",
     false, false},
    {"list", "", "jobs, newest first", 0, 0, COMPLETE_NOTHING, list_options, run_list, NULL, false,
     false},
    {"show", "JOB", "all about a job", 1, 1, COMPLETE_JOB, none, run_show, NULL, false, false},
    {"watch", "[JOB]", "follow a job to its end", 0, 1, COMPLETE_JOB, watch_options, run_watch,
     "Without a JOB: the newest. Ctrl-C stops watching; the job goes on. The daemon may be\n"
     "restarted meanwhile. With --json: the events as they come, then the job, one a line.\n"
     "Exit status: 0 if the job succeeded, 1 if it failed or was cancelled, 6 after --timeout.\n",
     false, false},
    {"layers", "JOB", "rank and pruning of every adapted map", 1, 1, COMPLETE_JOB, layers_options,
     run_layers, NULL, false, false},
    {"ranks", "JOB|MODEL", "what a finished adapter's directions carry, and ranks by that", 1, 1,
     COMPLETE_TARGET, ranks_options, run_ranks,
     "The last line is what submit's --set takes; submit --ranks suggest --ranks-from JOB does it\n"
     "in one. What is suggested is a heuristic from one run: see the README.\n",
     false, false},
    {"metrics", "JOB", "loss, rate and evaluations by step", 1, 1, COMPLETE_JOB, limit_options,
     run_metrics, NULL, false, false},
    {"events", "JOB", "what happened to a job", 1, 1, COMPLETE_JOB, limit_options, run_events, NULL,
     false, false},
    {"checkpoints", "JOB", "a job's checkpoints, newest first", 1, 1, COMPLETE_JOB, limit_options,
     run_checkpoints, NULL, false, false},
    {"cancel", "JOB...", "stop jobs, keeping their best adapters", 1, ANY_NUMBER, COMPLETE_JOB,
     none, run_cancel, NULL, false, false},
    {"pause", "JOB...", "keep checkpoints and let others train", 1, ANY_NUMBER, COMPLETE_JOB, none,
     run_pause, NULL, false, false},
    {"resume", "JOB...", "queue paused jobs again", 1, ANY_NUMBER, COMPLETE_JOB, none, run_resume,
     NULL, false, false},
    {"priority", "JOB N", "let a job run earlier or later", 2, 2, COMPLETE_JOB, none, run_priority,
     "N is from -100 to 100; of the jobs that wait, one with the highest starts first.\n", false,
     false},
    {"delete", "JOB...", "delete finished jobs and all they made", 1, ANY_NUMBER, COMPLETE_JOB,
     none, run_delete, NULL, false, false},
    {"download", "JOB|MODEL", "fetch a finished adapter", 1, 1, COMPLETE_TARGET, download_options,
     run_download,
     "Makes a folder that Hugging Face PEFT loads. What was broken off is resumed; nothing has\n"
     "the final name until all of it is there and its digest is right.\n",
     false, false},
    {"predict", "MODEL [TEXT...]", "label texts with a finished adapter", 1, ANY_NUMBER,
     COMPLETE_ADAPTER, predict_options, run_predict,
     "Without a TEXT the lines of --file or of stdin are read. Prints a line for each: the\n"
     "label, its probability, the text; tabs between them. Of question answering: the answer, or\n"
     "\"-\" where there is none, its score, the question.\n",
     false, false},
    {"upload", "FILE...", "upload data; prints the ids", 1, ANY_NUMBER, COMPLETE_PATH, none,
     run_upload, NULL, false, false},
    {"files", "", "uploaded files, newest first", 0, 0, COMPLETE_NOTHING, limit_options, run_files,
     NULL, false, false},
    {"files list", "", "the same", 0, 0, COMPLETE_NOTHING, limit_options, run_files, NULL, true,
     false},
    {"files show", "FILE", "all about an uploaded file", 1, 1, COMPLETE_FILE, none, run_files_show,
     NULL, false, false},
    {"files delete", "FILE...", "delete uploaded files", 1, ANY_NUMBER, COMPLETE_FILE, none,
     run_files_delete, NULL, false, false},
    {"files download", "FILE", "fetch an uploaded file again", 1, 1, COMPLETE_FILE, output_options,
     run_files_download, NULL, false, false},
    {"models", "", "base models and finished adapters", 0, 0, COMPLETE_NOTHING, none, run_models,
     NULL, false, false},
    {"models list", "", "the same", 0, 0, COMPLETE_NOTHING, none, run_models, NULL, true, false},
    {"models show", "MODEL", "all about a model", 1, 1, COMPLETE_MODEL, none, run_models_show, NULL,
     false, false},
    {"models delete", "MODEL...", "delete finished adapters", 1, ANY_NUMBER, COMPLETE_ADAPTER, none,
     run_models_delete, NULL, false, false},
    {"pull", "NAME", "fetch a base model from a hub", 1, 1, COMPLETE_NOTHING, pull_options,
     run_pull,
     "NAME is as microsoft/deberta-v3-base. The daemon fetches it; a token in HF_TOKEN is passed\n"
     "on. Ctrl-C stops watching, the download goes on: prilora pulls cancel stops it. With --to "
     "it\n"
     "becomes DIR/NAME, HF_ENDPOINT names another hub, and what Ctrl-C breaks off is kept for the\n"
     "next call.\n",
     false, false},
    {"pulls", "", "downloads of base models", 0, 0, COMPLETE_NOTHING, none, run_pulls, NULL, false,
     false},
    {"pulls cancel", "PULL...", "stop downloads of base models", 1, ANY_NUMBER, COMPLETE_PULL, none,
     run_pulls_cancel, NULL, false, false},
    {"experiment", "", "grids of jobs, newest first", 0, 0, COMPLETE_NOTHING, limit_options,
     run_experiments, NULL, false, false},
    {"experiment list", "", "the same", 0, 0, COMPLETE_NOTHING, limit_options, run_experiments,
     NULL, true, false},
    {"experiment submit", "[GRID]", "upload data and queue a grid of jobs", 0, 1, COMPLETE_PATH,
     grid_options, run_experiment_submit,
     "GRID is a file of JSON as the daemon takes it: methods, tasks, seeds; data in it may be "
     "files\n"
     "that are uploaded, each once. Options add to it or win over it. Prints the id.\n",
     false, false},
    {"experiment show", "EXPERIMENT", "its jobs by state", 1, 1, COMPLETE_EXPERIMENT, none,
     run_experiment_show, NULL, false, false},
    {"experiment results", "EXPERIMENT", "its table so far", 1, 1, COMPLETE_EXPERIMENT,
     results_options, run_experiment_results, NULL, false, false},
    {"experiment watch", "[EXPERIMENT]", "follow one to its end", 0, 1, COMPLETE_EXPERIMENT,
     follow_options, run_experiment_watch,
     "Without an EXPERIMENT: the newest. Prints its table at the end. Exit status: 0 if all jobs\n"
     "succeeded, 1 if not, 6 after --timeout.\n",
     false, false},
    {"experiment cancel", "EXPERIMENT...", "stop all their jobs", 1, ANY_NUMBER,
     COMPLETE_EXPERIMENT, none, run_experiment_cancel, NULL, false, false},
    {"experiment pause", "EXPERIMENT...", "let others train", 1, ANY_NUMBER, COMPLETE_EXPERIMENT,
     none, run_experiment_pause, NULL, false, false},
    {"experiment resume", "EXPERIMENT...", "queue paused jobs again", 1, ANY_NUMBER,
     COMPLETE_EXPERIMENT, none, run_experiment_resume, NULL, false, false},
    {"experiment retry", "EXPERIMENT...", "run failed and cancelled cells again", 1, ANY_NUMBER,
     COMPLETE_EXPERIMENT, none, run_experiment_retry, NULL, false, false},
    {"experiment delete", "EXPERIMENT...", "delete finished ones, jobs and all", 1, ANY_NUMBER,
     COMPLETE_EXPERIMENT, none, run_experiment_delete, NULL, false, false},
    {"keys", "", "the keys that the daemon knows", 0, 0, COMPLETE_NOTHING, none, run_keys, NULL,
     false, false},
    {"keys list", "", "the same", 0, 0, COMPLETE_NOTHING, none, run_keys, NULL, true, false},
    {"keys create", "NAME", "make a key; it is shown once", 1, 1, COMPLETE_NOTHING, key_options,
     run_keys_create, "Prints the key alone on stdout.\n", false, false},
    {"keys revoke", "KEY...", "make keys worthless", 1, ANY_NUMBER, COMPLETE_KEY, none,
     run_keys_revoke, NULL, false, false},
    {"backup", "FILE", "all that cannot be had again, while jobs run", 1, 1, COMPLETE_PATH,
     backup_options, run_backup,
     "A tar of database, uploaded files, adapters and checkpoints (- for stdout), as they are in "
     "one\n"
     "moment. It is as secret as the daemon's state folder. Base models are not in it.\n",
     false, false},
    {"restore", "FILE FOLDER", "make a state folder of a backup", 2, 2, COMPLETE_PATH, none,
     run_restore,
     "FOLDER must be empty, or not be there; - reads stdin. Needs no daemon: start prilorad on it\n"
     "afterwards, and jobs go on from their checkpoints.\n",
     false, true},
    {"gc", "", "remove what nobody needs any more", 0, 0, COMPLETE_NOTHING, gc_options, run_gc,
     "Expired files, parts of dropped uploads, what jobs that are over and broken downloads have\n"
     "left, files without a row, and, if storage.keep_jobs_days is set, old jobs. The daemon does\n"
     "most of this by itself every hour.\n",
     false, false},
    {"config", "", "where the daemon is, and what says so", 0, 0, COMPLETE_NOTHING, none,
     run_config, NULL, false, true},
    {"config set", "NAME VALUE", "remember url, key, socket, cacert or insecure", 2, 2,
     COMPLETE_CONFIG, none, run_config_set, "A VALUE of - is read from stdin.\n", false, true},
    {"config unset", "NAME", "forget it again", 1, 1, COMPLETE_CONFIG, none, run_config_unset, NULL,
     false, true},
    {"status", "", "is the daemon there? its jobs by state", 0, 0, COMPLETE_NOTHING, none,
     run_status, NULL, false, false},
    {"version", "", "of the client and of the daemon", 0, 0, COMPLETE_NOTHING, none, run_version,
     NULL, false, false},
    {"help", "[COMMAND]", "tell about a command", 0, 2, COMPLETE_COMMAND, none, run_help, NULL,
     false, true},
    {"complete", "WORD...", "what the last word may become, for a shell", 0, ANY_NUMBER,
     COMPLETE_NOTHING, none, run_complete, NULL, true, true},
};
const size_t n_commands = sizeof commands / sizeof *commands;

const struct command *command_find(const char *const *words, size_t n, size_t *n_words)
{
    const struct command *found = NULL;

    for (size_t i = 0; i < n_commands; i++) {
        const char *name = commands[i].name, *space = strchr(name, ' ');
        size_t first = space ? (size_t)(space - name) : strlen(name);
        bool fits = n > 0 && strlen(words[0]) == first && memcmp(words[0], name, first) == 0;

        if (!fits || (space && (n < 2 || strcmp(words[1], space + 1) != 0)))
            continue;
        if (!found || space) {
            found = &commands[i];
            *n_words = space ? 2 : 1;
        }
    }
    return found;
}

static const struct option_spec *find_among(const struct option_spec *options, const char *name,
                                            size_t n)
{
    for (; options->name; options++) {
        if (strlen(options->name) == n && memcmp(options->name, name, n) == 0)
            return options;
    }
    return NULL;
}

const struct option_spec *command_option(const struct command *command, const char *name, size_t n)
{
    const struct option_spec *option = find_among(common_options, name, n);

    return option || !command ? option : find_among(command->options, name, n);
}
