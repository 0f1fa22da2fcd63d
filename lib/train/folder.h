/* folder.h - a folder of files that appears complete or not at all. */
#ifndef PL_FOLDER_H
#define PL_FOLDER_H

#include "base/error.h"

/*
 * pl_folder_replace - `fill` writes plain files into a new folder beside `folder`, which is then
 * synced and put in its place: whoever looks sees the old files or the new, all of them.
 *
 * Errors  those of fill; EINVAL if `folder` exists and is not a folder of plain files only, so that
 *         a mistaken path never removes anything else
 */
enum prilora_status pl_folder_replace(const char *folder,
                                      enum prilora_status (*fill)(const char *folder, void *context,
                                                                  struct prilora_error *err),
                                      void *context, struct prilora_error *err);

#endif
