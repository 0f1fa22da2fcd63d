/* Settings: every source, its precedence, and what is said of wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/config_table.h"
#include "support/scratch.h"

#define MAX_WORDS 12

/* What config_load printed, by redirecting both streams to a file. */
static char *load(struct config *config, enum config_action *action, const char *const *words)
{
    char *argv[MAX_WORDS] = {(char *)(uintptr_t) "prilorad"};
    int argc = 1, saved[2];
    const char *path = test_scratch_path("output");
    FILE *file = fopen(path, "w");
    size_t size;

    assert_non_null(file);
    while (words[argc - 1]) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
        argc++;
    }
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        saved[i] = dup(i + 1);
        dup2(fileno(file), i + 1);
    }
    *action = config_load(config, argc, argv);
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
    }
    fclose(file);
    return test_file(path, &size);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char *write_conf(const char *text)
{
    return test_scratch_write("prilorad.conf", text, strlen(text));
}

static void without_anything_the_defaults_hold(void **state)
{
    struct config config;
    enum config_action action;

    (void)state;
    free(load(&config, &action, WORDS("--config", write_conf(""))));
    assert_int_equal(action, CONFIG_RUN);
    assert_string_equal(config.listen, "127.0.0.1:8471");
    assert_string_equal(config.port_file, "");
    assert_string_equal(config.keys, "remote");
    assert_string_equal(config.socket, "");
    assert_string_equal(config.cors_origins, "");
    assert_string_equal(config.state_dir, "/var/lib/prilorad");
    assert_string_equal(config.models_dirs, "/var/lib/prilorad/models");
    assert_int_equal(config.workers, 1);
    assert_int_equal(config.threads, 0);
    assert_int_equal(config.memory_limit_mb, 0);
    assert_string_equal(config.log_level, "info");
    assert_string_equal(config.log_format, "text");
    config_free(&config);
}

static void systemd_names_the_state_folder(void **state)
{
    struct config config;
    enum config_action action;

    (void)state;
    setenv("STATE_DIRECTORY", "/var/lib/private/p:/other", 1);
    free(load(&config, &action, WORDS("--config", write_conf(""))));
    assert_string_equal(config.state_dir, "/var/lib/private/p");
    assert_string_equal(config.models_dirs, "/var/lib/private/p/models");
    config_free(&config);
    free(load(&config, &action, WORDS("--config", write_conf(""), "--state-dir=/x")));
    assert_string_equal(config.state_dir, "/x");
    config_free(&config);
    unsetenv("STATE_DIRECTORY");
}

static void later_sources_win(void **state)
{
    struct config config;
    enum config_action action;
    const char *conf = write_conf("[server]\nlisten = 1.1.1.1:1\nmax_connections=7 ; few\n"
                                  "[training]\nworkers = 2\nthreads = 3\n[log]\nlevel = warn\n");

    (void)state;
    setenv("PRILORAD_TRAINING_THREADS", "5", 1);
    setenv("PRILORAD_TRAINING_WORKERS", "4", 1);
    free(load(&config, &action,
              WORDS("--config", conf, "--training.workers=6", "--listen", "[::1]:0",
                    "--log.format=json")));
    unsetenv("PRILORAD_TRAINING_THREADS");
    unsetenv("PRILORAD_TRAINING_WORKERS");
    assert_int_equal(action, CONFIG_RUN);
    assert_string_equal(config.listen, "[::1]:0");
    assert_int_equal(config.max_connections, 7);
    assert_int_equal(config.workers, 6);
    assert_int_equal(config.threads, 5);
    assert_string_equal(config.log_level, "warn");
    assert_string_equal(config.log_format, "json");
    config_free(&config);
}

static void wrong_files_are_refused_with_line_and_reason(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"[server]\n\nlisten = nowhere\n",
         "f:3: [server] listen = \"nowhere\": must be ADDRESS:PORT, as 127.0.0.1:8471, "
         "[::1]:8471, :0 for a free port, or none"},
        {"[server]\nlisten = a:70000\n",
         "f:2: [server] listen = \"a:70000\": the port must be 0 to 65535"},
        {"[webhooks]\nurl = ftp://x/\n",
         "f:2: [webhooks] url = \"ftp://x/\": must be an http:// or https:// address"},
        {"[server]\nlisten = ::1:80\n",
         "f:2: [server] listen = \"::1:80\": an IPv6 address needs brackets, as [::1]:8471"},
        {"[server]\nsocket_mode = rw\n",
         "f:2: [server] socket_mode = \"rw\": must be three octal digits, as 0660"},
        {"[server]\nsocket_mode = 7777\n",
         "f:2: [server] socket_mode = \"7777\": must be three octal digits, as 0660"},
        {"[server]\ncors_origins = *\n",
         "f:2: [server] cors_origins = \"*\": must be origins, as https://app.example:8443, with "
         "spaces between; \"any\" is not offered"},
        {"[server]\ncors_origins = https://a.example https://b.example/\n",
         "f:2: [server] cors_origins = \"https://a.example https://b.example/\": must be origins, "
         "as https://app.example:8443, with spaces between; \"any\" is not offered"},
        {"[server]\nkeys = never\n",
         "f:2: [server] keys = \"never\": must be one of: remote always"},
        {"[training]\nworkers = 0\n",
         "f:2: [training] workers = \"0\": must be a whole number from 1 to 256"},
        {"[training]\nworkers = 2x\n",
         "f:2: [training] workers = \"2x\": must be a whole number from 1 to 256"},
        {"[training]\nthreads = 99999999999999999999\n",
         "f:2: [training] threads = \"99999999999999999999\": must be a whole number from 0 to "
         "1024"},
        {"[log]\nlevel = inf\n",
         "f:2: [log] level = \"inf\": must be one of: debug info warn error"},
        {"[log]\nlevel = info warn\n",
         "f:2: [log] level = \"info warn\": must be one of: debug info warn error"},
        {"[log]\ncolour = red\n", "f:2: there is no such setting: [log] colour"},
        {"[sever]\nlisten = :1\n", "f:2: there is no such setting: [sever] listen"},
        {"listen = :1\n", "f:1: there is no such setting: [] listen"},
        {"[log]\nlevel = info\n[log]\nlevel = warn\n", "f:4: set a second time: [log] level"},
        {"[log]\nlevel = info\n  warn\n", "f:3: set a second time: [log] level"},
        {"[log]\nwhat is this\n", "f:2: neither \"[section]\" nor \"key = value\""},
        {"[log\nlevel = info\n", "f:1: neither \"[section]\" nor \"key = value\""},
        {"[storage]\nstate_dir =\n", "f:2: [storage] state_dir = \"\": must not be empty"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config config = {0};
        struct prilora_error err = {0};

        assert_int_equal(config_read_text(&config, cases[i].text, "f", &err), PRILORA_EINVAL);
        assert_string_equal(err.message, cases[i].message);
        config_free(&config);
    }
}

static void a_line_without_end_is_refused(void **state)
{
    struct config config = {0};
    struct prilora_error err = {0};
    char text[5000];

    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, "[log]\n", 6);
    text[sizeof text - 1] = '\0';
    assert_int_equal(config_read_text(&config, text, "f", &err), PRILORA_EINVAL);
    assert_non_null(strstr(err.message, "f:2: the line is too long: xxx"));
    config_free(&config);
}

static void other_mistakes_are_named(void **state)
{
    static const struct {
        const char *words[3], *output;
    } cases[] = {
        {{"--colour=red"}, "prilorad: unknown option --colour=red (see prilorad --help)\n"},
        {{"--server.listn=:1"},
         "prilorad: unknown option --server.listn=:1 (see prilorad --help)\n"},
        {{"start"}, "prilorad: unexpected argument start (see prilorad --help)\n"},
        {{"--listen"}, "prilorad: --listen needs a value\n"},
        {{"--workers=many"},
         "prilorad: command line: [training] workers = \"many\": must be a whole "
         "number from 1 to 256\n"},
        {{"--config", "/nowhere/p.conf"},
         "prilorad: /nowhere/p.conf: cannot open: No such file or directory\n"},
        {{"--check-config=yes"},
         "prilorad: unknown option --check-config=yes (see prilorad --help)\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config config;
        enum config_action action;
        char *output = load(&config, &action, cases[i].words);

        assert_int_equal(action, CONFIG_EXIT_USAGE);
        assert_string_equal(output, cases[i].output);
        free(output);
        config_free(&config);
    }
}

static void the_environment_is_checked_too(void **state)
{
    struct config config;
    enum config_action action;
    char *output;

    (void)state;
    setenv("PRILORAD_LOG_LEVEL", "loud", 1);
    output = load(&config, &action, WORDS("--check-config"));
    assert_int_equal(action, CONFIG_EXIT_USAGE);
    assert_string_equal(output,
                        "prilorad: environment, PRILORAD_LOG_LEVEL: [log] level = \"loud\": "
                        "must be one of: debug info warn error\n");
    free(output);
    config_free(&config);
    unsetenv("PRILORAD_LOG_LEVEL");
    setenv("PRILORAD_LOG_COLOUR", "red", 1);
    setenv("PRILORAD_KEY", "of somebody else", 1);
    output = load(&config, &action, WORDS("--check-config"));
    assert_int_equal(action, CONFIG_EXIT_USAGE);
    assert_string_equal(output,
                        "prilorad: environment, PRILORAD_LOG_COLOUR: there is no such setting\n");
    free(output);
    config_free(&config);
    unsetenv("PRILORAD_LOG_COLOUR");
    output = load(&config, &action, WORDS("--check-config"));
    assert_int_equal(action, CONFIG_EXIT_OK);
    assert_string_equal(output, "the configuration is valid\n");
    free(output);
    config_free(&config);
    unsetenv("PRILORAD_KEY");
}

static void what_is_printed_can_be_read_again(void **state)
{
    struct config config, again = {0};
    enum config_action action;
    struct prilora_error err;
    const char *conf = write_conf("[training]\nthreads = 3\n");
    char *output, place[400];

    (void)state;
    setenv("PRILORAD_LOG_LEVEL", "debug", 1);
    output = load(&config, &action,
                  WORDS("--config", conf, "--print-config", "--models=/a:/b", "--workers", "9"));
    unsetenv("PRILORAD_LOG_LEVEL");
    assert_int_equal(action, CONFIG_EXIT_OK);
    assert_non_null(strstr(output, "; environment, PRILORAD_LOG_LEVEL\nlevel = debug\n"));
    assert_non_null(strstr(output, "; command line\nmodels_dirs = /a:/b\n"));
    assert_non_null(strstr(output, "; default\nmax_body_mb = 8\n"));
    snprintf(place, sizeof place, "; %s:2\nthreads = 3\n", conf);
    assert_non_null(strstr(output, place));
    assert_int_equal(config_read_text(&again, output, "printed", &err), PRILORA_OK);
    for (size_t i = 0; i < config_n_settings; i++) {
        char a[32], b[32];

        assert_string_equal(config_value(&config_settings[i], &config, a, sizeof a),
                            config_value(&config_settings[i], &again, b, sizeof b));
    }
    free(output);
    config_free(&config);
    config_free(&again);
}

static void the_hub_is_named_as_other_programs_name_it(void **state)
{
    struct config config;
    enum config_action action;
    char *output;

    (void)state;
    setenv("HF_ENDPOINT", "https://mirror.example/hf", 1);
    setenv("HF_TOKEN", "hf_abc", 1);
    output = load(&config, &action, WORDS("--print-config"));
    assert_string_equal(config.hub_endpoint, "https://mirror.example/hf");
    assert_string_equal(config.hub_token, "hf_abc");
    assert_null(strstr(output, "hf_abc"));
    free(output);
    config_free(&config);
    output = load(&config, &action,
                  WORDS("--hub.endpoint=http://[::1]:80", "--hub.token=hf_own", "--print-config"));
    assert_string_equal(config.hub_endpoint, "http://[::1]:80");
    assert_string_equal(config.hub_token, "hf_own");
    assert_null(strstr(output, "hf_own"));
    free(output);
    config_free(&config);
    free(load(&config, &action, WORDS("--hub.token_file=/run/token")));
    assert_string_equal(config.hub_token, ""); /* the file's is meant */
    config_free(&config);
    setenv("HF_ENDPOINT", "ftp://mirror.example", 1);
    output = load(&config, &action, WORDS("--check-config"));
    assert_int_equal(action, CONFIG_EXIT_USAGE);
    assert_non_null(strstr(output, "HF_ENDPOINT"));
    free(output);
    config_free(&config);
    unsetenv("HF_ENDPOINT");
    unsetenv("HF_TOKEN");
}

static void help_names_every_setting(void **state)
{
    struct config config;
    enum config_action action;
    char *output = load(&config, &action, WORDS("--help"));

    (void)state;
    assert_int_equal(action, CONFIG_EXIT_OK);
    for (size_t i = 0; i < config_n_settings; i++) {
        char option[100];

        snprintf(option, sizeof option, "--%s.%s=", config_settings[i].section,
                 config_settings[i].key);
        assert_non_null(strstr(output, option));
        config_environment_name(&config_settings[i], option, sizeof option);
        assert_non_null(strstr(output, option));
        assert_non_null(strstr(output, config_settings[i].help));
    }
    free(output);
    config_free(&config);
}

/* systemd/prilorad.conf shows every setting, commented out, with its default. */
static void the_sample_file_shows_every_default(void **state)
{
    struct config config = {0}, defaults;
    enum config_action action;
    struct prilora_error err = {0};
    size_t size;
    char *text = test_file("systemd/prilorad.conf", &size);

    (void)state;
    free(load(&defaults, &action, WORDS("--config", write_conf(""))));
    for (char *at = text; (at = strstr(at, "\n;")); at++)
        if (at[2] != ' ' && at[2] != '\n')
            at[1] = '\n'; /* ";key = value" is a setting, "; text" a comment */
    assert_int_equal(config_read_text(&config, text, "sample", &err), PRILORA_OK);
    for (size_t i = 0; i < config_n_settings; i++) {
        char a[32], b[32];

        assert_string_equal(config_value(&config_settings[i], &config, a, sizeof a),
                            config_value(&config_settings[i], &defaults, b, sizeof b));
        assert_non_null(strstr(text, config_settings[i].key));
    }
    free(text);
    config_free(&config);
    config_free(&defaults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_anything_the_defaults_hold),
        cmocka_unit_test(systemd_names_the_state_folder),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(wrong_files_are_refused_with_line_and_reason),
        cmocka_unit_test(a_line_without_end_is_refused),
        cmocka_unit_test(other_mistakes_are_named),
        cmocka_unit_test(the_environment_is_checked_too),
        cmocka_unit_test(what_is_printed_can_be_read_again),
        cmocka_unit_test(the_hub_is_named_as_other_programs_name_it),
        cmocka_unit_test(help_names_every_setting),
        cmocka_unit_test(the_sample_file_shows_every_default),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
