/*
 * assets.h - the one list of the dashboard's files: X(symbol, file name, media type). Files are
 * those of web/, and chart.js from Debian's libjs-chart.js. Read by the assembler, too.
 */
#ifndef DASHBOARD_ASSETS_H
#define DASHBOARD_ASSETS_H

/* clang-format off */
#define DASHBOARD_ASSETS(X)                                                                        \
    X(index_html,  "index.html",  "text/html; charset=utf-8")                                      \
    X(style_css,   "style.css",   "text/css; charset=utf-8")                                       \
    X(icon_svg,    "icon.svg",    "image/svg+xml")                                                 \
    X(chart_js,    "chart.js",    "text/javascript; charset=utf-8")                                \
    X(app_js,      "app.js",      "text/javascript; charset=utf-8")                                \
    X(api_js,      "api.js",      "text/javascript; charset=utf-8")                                \
    X(dom_js,      "dom.js",      "text/javascript; charset=utf-8")                                \
    X(format_js,   "format.js",   "text/javascript; charset=utf-8")                                \
    X(jobs_js,     "jobs.js",     "text/javascript; charset=utf-8")                                \
    X(job_js,      "job.js",      "text/javascript; charset=utf-8")                                \
    X(curves_js,   "curves.js",   "text/javascript; charset=utf-8")                                \
    X(heatmap_js,  "heatmap.js",  "text/javascript; charset=utf-8")                                \
    X(new_js,      "new.js",      "text/javascript; charset=utf-8")                                \
    X(fields_js,   "fields.js",   "text/javascript; charset=utf-8")                                \
    X(stream_js,   "stream.js",   "text/javascript; charset=utf-8")                                \
    X(download_js, "download.js", "text/javascript; charset=utf-8")                                \
    X(ranks_js,    "ranks.js",    "text/javascript; charset=utf-8")                                \
    X(record_js,   "record.js",   "text/javascript; charset=utf-8")                                \
    X(charts_js,   "charts.js",   "text/javascript; charset=utf-8")                                \
    X(parts_js,    "parts.js",    "text/javascript; charset=utf-8")                                \
    X(actions_js,  "actions.js",  "text/javascript; charset=utf-8")                                \
    X(picker_js,   "picker.js",   "text/javascript; charset=utf-8")                                \
    X(try_js,      "try.js",      "text/javascript; charset=utf-8")                                \
    X(experiments_js, "experiments.js", "text/javascript; charset=utf-8")                          \
    X(pulls_js,    "pulls.js",    "text/javascript; charset=utf-8")                                \
    X(models_js,   "models.js",   "text/javascript; charset=utf-8")
/* clang-format on */

#endif
