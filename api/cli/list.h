/* list.h - the daemon's lists, page after page, and the ids in them. */
#ifndef CLI_LIST_H
#define CLI_LIST_H

#include "api/cli/cli.h"

/* {"object": "list", "data": [...], "has_more"} of at most `limit` elements (0: all), asked for
 * `per_page` at a time; `path` has no limit and no after. Decref it. */
int list_fetch(const struct call *call, const char *path, size_t limit, size_t per_page,
               json_t **out);
/* The same as --limit and --all say, `standard` without them. */
int list_fetch_asked(const struct call *call, const char *path, size_t standard, size_t per_page,
                     json_t **out);
/* With --json: prints it; true if it did. */
bool list_show_json(const struct call *call, const json_t *list);

enum thing { THING_JOB, THING_FILE, THING_MODEL, THING_KEY, THING_PULL, THING_EXPERIMENT };

/* The id that the user means by `word`: as it is, or its beginning or end, or "last". Free it. */
int resolve(const struct call *call, enum thing thing, const char *word, char **id);
/* DELETE for every argument, told as "ID: done"; the first that fails does not stop the others. */
int delete_each(const struct call *call, enum thing thing, const char *path_format,
                const char *done);

/* A job, or the job that made this model. */
int resolve_target(const struct call *call, const char *word, char **job_id);

#endif
