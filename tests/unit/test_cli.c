/*
 * test_cli.c - parts of the client that no daemon of ours would put to the test: archives that
 * want to be unpacked elsewhere, text that a terminal would obey, numbers at their limits.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* before cmocka, which has a macro named fail */
#include "api/cli/commands.h"
#include "api/cli/download.h"
#include "api/cli/text.h"

#include <cmocka.h>

/* ---- archives ---- */

struct place {
    char folder[64], tar[96], out[96];
};

static int open_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    snprintf(p->folder, sizeof p->folder, "/tmp/prilora-unpack-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->tar, sizeof p->tar, "%s/a.tar", p->folder);
    snprintf(p->out, sizeof p->out, "%s/out", p->folder);
    *state = p;
    return 0;
}

static size_t count(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    size_t n = 0;

    while (folder && (entry = readdir(folder)))
        n += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return n;
}

static int close_place(void **state)
{
    struct place *p = *state;
    static const char *const names[] = {"out/one", "out/two", "out", "a.tar", ""};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[200];

        snprintf(path, sizeof path, "%s/%s", p->folder, names[i]);
        remove(path);
    }
    assert_int_not_equal(access(p->folder, F_OK), 0);
    free(p);
    return 0;
}

struct member {
    const char *path, *text, *link;
    mode_t type; /* 0: a plain file */
    bool is_hard;
};

static void write_tar(const struct place *p, const struct member *members, size_t n)
{
    struct archive *tar = archive_write_new();

    archive_write_set_format_ustar(tar);
    assert_int_equal(archive_write_open_filename(tar, p->tar), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *entry = archive_entry_new();
        size_t size = members[i].text ? strlen(members[i].text) : 0;

        archive_entry_set_pathname(entry, members[i].path);
        archive_entry_set_filetype(entry, members[i].type ? members[i].type : AE_IFREG);
        archive_entry_set_perm(entry, 04777);
        archive_entry_set_size(entry, (int64_t)size);
        if (members[i].link && members[i].is_hard)
            archive_entry_set_hardlink(entry, members[i].link);
        else if (members[i].link)
            archive_entry_set_symlink(entry, members[i].link);
        assert_int_equal(archive_write_header(tar, entry), ARCHIVE_OK);
        if (size)
            assert_int_equal(archive_write_data(tar, members[i].text, size), size);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(tar), ARCHIVE_OK);
    archive_write_free(tar);
}

static void a_plain_archive_becomes_a_folder(void **state)
{
    struct place *p = *state;
    static const struct member members[] = {
        {.path = "job/", .type = AE_IFDIR},
        {.path = "job/one", .text = "first"},
        {.path = "job/two", .text = ""},
    };
    char path[200], text[16] = {0};
    struct stat st;
    FILE *file;

    write_tar(p, members, 3);
    assert_int_equal(unpack(p->tar, p->out), EXIT_DONE);
    assert_int_equal(count(p->out), 2);
    snprintf(path, sizeof path, "%s/one", p->out);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof text - 1, file), 5);
    fclose(file);
    assert_string_equal(text, "first");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07111, 0); /* what is unpacked is data: nothing may be run */
}

static void an_archive_that_leads_elsewhere_leaves_nothing(void **state)
{
    struct place *p = *state;
    static const struct member bad[] = {
        {.path = "job/../evil", .text = "x"},
        {.path = "../evil", .text = "x"},
        {.path = "/tmp/evil", .text = "x"},
        {.path = "evil", .text = "x"},
        {.path = "job/.hidden", .text = "x"},
        {.path = "job/sub/evil", .text = "x"},
        {.path = "job/evil", .type = AE_IFLNK, .link = "/etc/passwd"},
        {.path = "job/evil", .link = "/etc/passwd", .is_hard = true},
        {.path = "job/evil", .type = AE_IFIFO},
        {.path = "job/one", .text = "twice"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct member members[] = {{.path = "job/one", .text = "first"}, bad[i]};

        write_tar(p, members, 2);
        assert_int_equal(unpack(p->tar, p->out), EXIT_FAILED);
        assert_int_equal(count(p->folder), 1); /* the archive alone */
    }
}

static void half_an_archive_leaves_nothing(void **state)
{
    struct place *p = *state;
    static const struct member members[] = {
        {.path = "job/one", .text = "first"},
        {.path = "job/two", .text = "second"},
    };
    static const long sizes[] = {0, 100, 512, 515, 1024, 1100, 1536, 1540};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        write_tar(p, members, 2);
        assert_int_equal(truncate(p->tar, sizes[i]), 0);
        /* two whole blocks are a whole member: the archive may end there */
        assert_int_equal(unpack(p->tar, p->out), sizes[i] == 1024 ? EXIT_DONE : EXIT_FAILED);
        if (sizes[i] == 1024) {
            char path[200];

            assert_int_equal(count(p->out), 1);
            snprintf(path, sizeof path, "%s/one", p->out);
            unlink(path);
            rmdir(p->out);
        }
        assert_int_equal(count(p->folder), 1);
    }
}

/* ---- text ---- */

static void assert_clean(const char *text, const char *wanted)
{
    char *clean = text_clean(text);

    assert_string_equal(clean, wanted);
    free(clean);
}

static void nothing_that_a_terminal_obeys_is_left(void **state)
{
    (void)state;
    assert_clean("plain", "plain");
    assert_clean("größe 漢字 🙂", "größe 漢字 🙂");
    assert_clean("\033[31mred\033[0m", "?[31mred?[0m");
    assert_clean("a\xc2\x9b"
                 "2Jb",
                 "a?2Jb"); /* C1's CSI */
    assert_clean("a\nb\tc\rd\x7f", "a b c?d?");
    assert_clean("\xe2\x80\xae"
                 "abc\xe2\x81\xa6",
                 "?abc?");
    assert_clean("\xff\xc3(\xe2\x82", "?\?(??");
    assert_clean("", "");
}

static void widths_are_those_of_a_terminal(void **state)
{
    (void)state;
    assert_int_equal(text_width("abc"), 3);
    assert_int_equal(text_width("größe"), 5);
    assert_int_equal(text_width("漢字"), 4);
    assert_int_equal(text_width("e\xcc\x81"), 1); /* a combining accent */
}

static void assert_cut(const char *text, size_t columns, const char *wanted)
{
    char *cut = text_cut(text, columns);

    assert_string_equal(cut, wanted);
    assert_true(text_width(cut) <= columns);
    free(cut);
}

static void text_is_cut_between_characters(void **state)
{
    (void)state;
    assert_cut("abcdef", 6, "abcdef");
    assert_cut("abcdef", 5, "abcd…");
    assert_cut("漢字漢字", 6, "漢字…");
    assert_cut("漢字漢字", 5, "漢字…");
    assert_cut("漢字漢字", 4, "漢…");
    assert_cut("abc", 1, "…");
    assert_cut("abc", 0, "");
}

static void numbers_and_times_are_read_whole(void **state)
{
    int64_t n;

    (void)state;
    assert_true(text_integer("-100", -100, 100, &n));
    assert_int_equal(n, -100);
    assert_false(text_integer("101", -100, 100, &n));
    assert_false(text_integer("1x", -100, 100, &n));
    assert_false(text_integer("", -100, 100, &n));
    assert_false(text_integer(" 1", -100, 100, &n));
    assert_false(text_integer("99999999999999999999", INT64_MIN, INT64_MAX, &n));
    assert_true(text_duration("90", &n));
    assert_int_equal(n, 90);
    assert_true(text_duration("15m", &n));
    assert_int_equal(n, 900);
    assert_true(text_duration("24h", &n));
    assert_int_equal(n, 86400);
    assert_true(text_duration("2w", &n));
    assert_int_equal(n, 14 * 86400);
    assert_false(text_duration("15 m", &n));
    assert_false(text_duration("m", &n));
    assert_false(text_duration("-1", &n));
    assert_false(text_duration("99999999999999999999d", &n));
}

static void sizes_and_times_are_short(void **state)
{
    (void)state;
    assert_string_equal(text_bytes(0), "0 B");
    assert_string_equal(text_bytes(999), "999 B");
    assert_string_equal(text_bytes(86910), "86.9 kB");
    assert_string_equal(text_bytes(999999), "1.0 MB");
    assert_string_equal(text_bytes(123456789), "123 MB");
    assert_string_equal(text_count(10378), "10.4k");
    assert_string_equal(text_clock(65), "1:05");
    assert_string_equal(text_clock(12009), "3:20:09");
    assert_string_equal(text_clock(187200), "2 d 4 h");
    assert_string_equal(text_clock(1e300), "0:00");
    assert_string_equal(text_time(0), "-");
}

/* ---- the table ---- */

static void every_command_is_found_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_commands; i++) {
        char *name = strdup(commands[i].name), *space = strchr(name, ' ');
        const char *words[2] = {name, space ? space + 1 : "x"};
        size_t n_words = 0;

        if (space)
            *space = '\0';
        assert_ptr_equal(command_find(words, 2, &n_words), &commands[i]);
        assert_int_equal(n_words, space ? 2 : 1);
        assert_true(commands[i].least <= commands[i].most);
        free(name);
    }
}

static void no_option_stands_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_commands; i++) {
        for (const struct option_spec *o = commands[i].options; o->name; o++) {
            assert_ptr_equal(command_option(&commands[i], o->name, strlen(o->name)), o);
            for (const struct option_spec *p = o + 1; p->name; p++)
                assert_false(o->letter && o->letter == p->letter);
        }
    }
}

static void a_name_that_leads_elsewhere_is_not_taken(void **state)
{
    static const struct {
        const char *name, *other, *taken;
    } rows[] = {
        {"a.csv", "file-1", "a.csv"},
        {"../../a", "file-1", "file-1"},
        {"/etc/passwd", "file-1", "_etc_passwd"},
        {".", "file-1", "file-1"},
        {"..", "../x", "download"},
        {"", "", "download"},
        {".bashrc", NULL, "download"},
        {"-rf", "ftjob-1", "ftjob-1"},
        {"a\x1b[2Jb\n", NULL, "a?[2Jb "},
        {"../../.ssh/x", NULL, "download"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *taken = download_name(rows[i].name, rows[i].other);

        assert_string_equal(taken, rows[i].taken);
        free(taken);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_leads_elsewhere_is_not_taken),
        cmocka_unit_test_setup_teardown(a_plain_archive_becomes_a_folder, open_place, close_place),
        cmocka_unit_test_setup_teardown(an_archive_that_leads_elsewhere_leaves_nothing, open_place,
                                        close_place),
        cmocka_unit_test_setup_teardown(half_an_archive_leaves_nothing, open_place, close_place),
        cmocka_unit_test(nothing_that_a_terminal_obeys_is_left),
        cmocka_unit_test(widths_are_those_of_a_terminal),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(numbers_and_times_are_read_whole),
        cmocka_unit_test(sizes_and_times_are_short),
        cmocka_unit_test(every_command_is_found_by_its_name),
        cmocka_unit_test(no_option_stands_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
