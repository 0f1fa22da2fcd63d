/* progress.c - see progress.h. */
#include "api/cli/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/cli.h"
#include "api/cli/interrupt.h"
#include "api/cli/terminal.h"
#include "api/cli/text.h"

#define LEAST_BAR 10
#define MOST_BAR  40
#define MAX_PARTS 12
#define REDRAW_S  0.1

static FILE *screen; /* NULL: none */
static bool drawn;
static double began_at, drawn_at;
static int64_t began_with; /* bytes that were there; < 0: not known yet */

bool progress_begin(FILE *stream)
{
    screen = terminal_is(stream) ? stream : NULL;
    drawn = false;
    began_at = interrupt_clock();
    drawn_at = began_at; /* what is done at once is not drawn */
    began_with = -1;
    return screen != NULL;
}

void progress_clear(void)
{
    if (!screen || !drawn)
        return;
    fputs("\r\033[K", screen);
    fflush(screen);
    drawn = false;
}

void progress_end(void)
{
    progress_clear();
    screen = NULL;
}

static void put_bar(double share, size_t columns)
{
    size_t full = (size_t)lround(fmin(fmax(share, 0), 1) * (double)columns);

    fputc('[', screen);
    fputs(terminal_colour(screen, COLOUR_BUSY), screen);
    for (size_t i = 0; i < columns; i++)
        fputc(i < full ? '#' : '.', screen);
    fputs(terminal_colour(screen, COLOUR_NONE), screen);
    fprintf(screen, "] %3.0f %%", floor(100 * fmin(fmax(share, 0), 1)));
}

void progress_draw(double share, const char *const *parts, size_t n_parts)
{
    size_t width = terminal_width(screen ? screen : stdout), used, n = 0;
    size_t bar = share < 0 ? 0 : LEAST_BAR;
    char *clean[MAX_PARTS] = {0};

    if (!screen)
        return;
    width -= width > 0; /* the last column would wrap */
    used = bar ? bar + 8 : 0;
    for (; n < n_parts && n < MAX_PARTS; n++) {
        clean[n] = text_clean(parts[n]);
        if (used + 2 + text_width(clean[n]) > width)
            break;
        used += 2 + text_width(clean[n]);
    }
    if (bar && used < width)
        bar += width - used < MOST_BAR - LEAST_BAR ? width - used : MOST_BAR - LEAST_BAR;
    fputs("\r\033[K", screen);
    if (bar)
        put_bar(share, bar);
    for (size_t i = 0; i < n; i++)
        fprintf(screen, "%s%s", i || bar ? "  " : "", clean[i]);
    fflush(screen);
    drawn = true;
    for (size_t i = 0; i < MAX_PARTS; i++)
        free(clean[i]);
}

void progress_bytes(const char *what, int64_t done, int64_t total)
{
    double now = interrupt_clock(), seconds = now - began_at;
    double speed;
    const char *parts[4];
    char *amount, *rate;
    size_t n = 0;

    if (began_with < 0 || done < began_with)
        began_with = done;
    if (!screen || now - drawn_at < REDRAW_S)
        return;
    speed = seconds > 0.5 ? (double)(done - began_with) / seconds : 0;
    drawn_at = now;
    amount = total > 0 ? format("%s of %s", text_bytes(done), text_bytes(total))
                       : must(strdup(text_bytes(done)));
    rate = format("%s/s", text_bytes((int64_t)speed));
    parts[n++] = amount;
    parts[n++] = what;
    if (speed > 0) {
        parts[n++] = rate;
        if (total > done)
            parts[n++] = text_clock((double)(total - done) / speed);
    }
    progress_draw(total > 0 ? (double)done / (double)total : -1, parts, n);
    free(amount);
    free(rate);
}
