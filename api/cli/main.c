/* main.c - prilora, the command line of prilorad: reads its arguments, calls one command. */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/progress.h"

static int run(struct call *call)
{
    int rc;

    if (call_has(call, "help")) {
        if (call->command)
            help_command(stdout, call->command);
        else
            help_program(stdout);
        return EXIT_DONE;
    }
    if (!call->command) {
        help_program(stderr);
        return EXIT_USAGE;
    }
    rc = settings_load(&call->settings, call);
    if (rc != EXIT_DONE)
        return rc;
    if (!call->command->is_local)
        call->http = http_new(&call->settings);
    return call->command->run(call);
}

int main(int argc, char **argv)
{
    struct call call = {0};
    int rc;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        must(NULL);
    rc = arguments_parse(&call, argc, argv);
    if (rc == EXIT_DONE)
        rc = run(&call);
    progress_end();
    if (fflush(stdout) != 0 || ferror(stdout))
        rc = fail(EXIT_FAILED, "standard output: %s", strerror(errno));
    http_free(call.http);
    settings_free(&call.settings);
    free(call.given);
    free(call.args);
    curl_global_cleanup();
    return rc;
}
