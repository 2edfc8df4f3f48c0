/* test_file.c - reading, atomic replacement, lines, streams; full disks, torn lines, killed writers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "file.h"
#include "test.h"

static char folder[256];

static const char *in_folder(const char *name)
{
    static char paths[4][512];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

/* Plain stdio, so that the module is not tested with itself. */
static void put_file(const char *path, const char *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");

    CHECK(file && fwrite(bytes, 1, length, file) == length);
    if (file)
        fclose(file);
}

static int has_content(const char *path, const char *want, size_t length)
{
    FILE *file = fopen(path, "rb");
    char *got = malloc(length + 2);
    size_t n = file ? fread(got, 1, length + 1, file) : 0;
    int same = file && n == length && memcmp(got, want, length) == 0;

    if (file)
        fclose(file);
    free(got);
    return same;
}

static int entries_in_folder(void)
{
    DIR *dir = opendir(folder);
    int n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n - 2; /* . and .. */
}

static void empty_folder(void)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            remove(in_folder(entry->d_name));
    if (dir)
        closedir(dir);
}

/* ---- reading ---- */

static void map_and_read(void)
{
    const char *path = in_folder("data");
    struct file_map map;
    struct buffer buffer = {0};
    struct diag diag;

    put_file(path, "hello\0world", 11);
    CHECK(file_map(&map, path, &diag) == STATUS_OK && map.size == 11 && memcmp(map.data, "hello\0world", 11) == 0);
    file_map_drop(&map, 0, 11);
    file_map_drop(&map, 3, 1000); /* out of range: nothing */
    CHECK(memcmp(map.data, "hello\0world", 11) == 0);
    file_unmap(&map);
    CHECK(map.data == NULL && map.size == 0);
    file_unmap(&map);
    CHECK(file_read(&buffer, path, 0, &diag) == STATUS_OK && buffer.length == 11);
    CHECK(file_read(&buffer, path, 11, &diag) == STATUS_OK && buffer.length == 22 && buffer.data[22] == 0);
    buffer_clear(&buffer);
    CHECK(file_read(&buffer, path, 10, &diag) == STATUS_RANGE && strstr(diag.message, path) == diag.message);
    put_file(path, "", 0);
    CHECK(file_map(&map, path, &diag) == STATUS_OK && map.data == NULL && map.size == 0);
    buffer_clear(&buffer);
    CHECK(file_read(&buffer, path, 5, &diag) == STATUS_OK && buffer.length == 0);
    CHECK(file_map(&map, in_folder("missing"), &diag) == STATUS_IO);
    CHECK(strstr(diag.message, "missing: cannot open: No such file") != NULL);
    CHECK(file_map(&map, folder, &diag) == STATUS_IO && strstr(diag.message, "folder"));
    CHECK(file_read(&buffer, folder, 0, &diag) == STATUS_IO);
    CHECK(file_map(&map, "/dev/null", &diag) == STATUS_IO);
    CHECK(file_exists(path) && !file_exists(in_folder("missing")) && file_exists(folder));
    CHECK(file_is_folder(folder) && !file_is_folder(path));
    buffer_free(&buffer);
    empty_folder();
    CHECK(memory_live() == 0);
}

static void make_folders(void)
{
    struct diag diag;
    char deep[600];

    snprintf(deep, sizeof deep, "%s/a//b/c/", folder);
    CHECK(file_make_folder(deep, &diag) == STATUS_OK && file_is_folder(deep));
    CHECK(file_make_folder(deep, &diag) == STATUS_OK);
    snprintf(deep, sizeof deep, "%s/a/b/c/d", folder);
    CHECK(file_make_folder(deep, &diag) == STATUS_OK && file_is_folder(deep));
    rmdir(deep);
    put_file(deep, "x", 1);
    CHECK(file_make_folder(deep, &diag) == STATUS_IO);
    snprintf(deep, sizeof deep, "%s/a/b/c/d/e", folder);
    CHECK(file_make_folder(deep, &diag) == STATUS_IO && strstr(diag.message, "cannot create folder"));
    CHECK(file_make_folder(".", &diag) == STATUS_OK && file_make_folder("/", &diag) == STATUS_OK);
    remove(in_folder("a/b/c/d"));
    rmdir(in_folder("a/b/c"));
    rmdir(in_folder("a/b"));
    rmdir(in_folder("a"));
    CHECK(memory_live() == 0);
}

/* ---- atomic writer ---- */

#define LARGE ((size_t)(2 << 20) + 12345)

static char *large_bytes(void)
{
    char *bytes = malloc(LARGE);

    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    return bytes;
}

static enum status write_large(const char *path, const char *bytes, struct diag *diag)
{
    static const size_t steps[] = {1, 100, 4097, 1 << 20, 3, (1 << 20) - 1};
    struct file_writer writer;
    enum status status = file_create(&writer, path, diag);

    for (size_t at = 0, i = 0; at < LARGE && !status; i++) {
        size_t n = steps[i % 6] < LARGE - at ? steps[i % 6] : LARGE - at;
        status = file_write(&writer, bytes + at, n, diag);
        at += n;
        CHECK(status || writer.position == at);
    }
    if (status) {
        CHECK(file_write(&writer, "x", 1, NULL) == status || writer.path == NULL); /* the failure stays */
        file_abandon(&writer);
        return status;
    }
    status = file_commit(&writer, diag);
    file_abandon(&writer); /* no effect */
    return status;
}

static void replace_file(void)
{
    const char *path = in_folder("model"), *link = in_folder("link");
    char *bytes = large_bytes();
    struct file_writer writer;
    struct diag diag;
    struct stat info;

    CHECK(write_large(path, bytes, &diag) == STATUS_OK && has_content(path, bytes, LARGE));
    chmod(path, 0640);
    CHECK(file_create(&writer, path, &diag) == STATUS_OK && file_write(&writer, "new", 3, &diag) == STATUS_OK);
    CHECK(has_content(path, bytes, LARGE)); /* until the commit */
    CHECK(entries_in_folder() == 2);
    file_abandon(&writer);
    CHECK(has_content(path, bytes, LARGE) && entries_in_folder() == 1);
    CHECK(symlink("model", link) == 0);
    CHECK(file_create(&writer, link, &diag) == STATUS_OK && file_write(&writer, "new", 3, &diag) == STATUS_OK);
    CHECK(file_commit(&writer, &diag) == STATUS_OK && has_content(path, "new", 3));
    CHECK(lstat(link, &info) == 0 && S_ISLNK(info.st_mode)); /* the link stays a link */
    CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0640);
    CHECK(file_create(&writer, "/dev/null", &diag) == STATUS_IO && strstr(diag.message, "device"));
    CHECK(file_create(&writer, folder, &diag) == STATUS_IO && strstr(diag.message, "folder"));
    CHECK(file_create(&writer, in_folder("no/such"), &diag) == STATUS_IO);
    CHECK(file_commit(&writer, &diag) == STATUS_IO); /* after a failed create: still the failure, no crash */
    file_abandon(&writer);
    free(bytes);
    empty_folder();
    CHECK(memory_live() == 0);
}

/* The disk is full at the n-th write, sync or rename: a clear error, no rubbish, the old file as it was. */
static void full_disk_keeps_old_file(void)
{
    const char *path = in_folder("model");
    char *bytes = large_bytes();
    size_t n;

    for (n = 1; n < 50; n++) {
        struct diag diag;
        enum status status;
        put_file(path, "old", 3);
        file_fail_at(n);
        status = write_large(path, bytes, &diag);
        file_fail_at(0);
        CHECK(entries_in_folder() == 1 && memory_live() == 0);
        if (status == STATUS_OK)
            break;
        CHECK(status == STATUS_IO && strstr(diag.message, "cannot write: No space left") != NULL);
        CHECK(has_content(path, "old", 3));
    }
    CHECK_MSG(n >= 5 && n < 50, "%zu points of failure", n - 1);
    CHECK(has_content(path, bytes, LARGE));
    for (n = 1; n < 50; n++) { /* the same with memory */
        struct diag diag;
        enum status status;
        memory_fail_at(n);
        status = write_large(path, bytes, &diag);
        memory_fail_at(0);
        CHECK(entries_in_folder() == 1 && memory_live() == 0);
        if (status == STATUS_OK)
            break;
        CHECK(status == STATUS_MEMORY);
    }
    CHECK(n == 4);
    free(bytes);
    empty_folder();
}

/* /dev/full is a real full disk, where the system has one. */
static void real_write_error(void)
{
    struct file_stream stream;
    struct diag diag;

    if (!file_exists("/dev/full"))
        return;
    CHECK(file_stream_open(&stream, "/dev/full", 0, &diag) == STATUS_OK);
    CHECK(file_stream_record(&stream, "abc", 3, &diag) == STATUS_IO && strstr(diag.message, "No space left"));
    CHECK(file_stream_record(&stream, "abc", 3, &diag) == STATUS_IO);
    CHECK(file_stream_close(&stream, &diag) == STATUS_IO);
    CHECK(memory_live() == 0);
}

/* ---- lines ---- */

static void lines_of_all_kinds(void)
{
    static const char text[] = "one\n\ntwo\r\n\r\nth\0ree\nlone\rcr\nx\r\r\ntorn\r";
    static const struct {
        const char *line;
        size_t length, offset;
        int torn;
    } want[] = {{"one", 3, 0, 0},      {"", 0, 4, 0},          {"two", 3, 5, 0},  {"", 0, 10, 0},
                {"th\0ree", 6, 12, 0}, {"lone\rcr", 7, 19, 0}, {"x\r", 2, 27, 0}, {"torn\r", 5, 31, 1}};
    const char *path = in_folder("lines");
    struct file_lines lines;
    struct diag diag;
    char *line;
    size_t length, n = sizeof want / sizeof *want;

    put_file(path, text, sizeof text - 1);
    CHECK(file_lines_open(&lines, path, &diag) == STATUS_OK);
    for (size_t i = 0; i < n; i++) {
        CHECK(file_lines_next(&lines, &line, &length, &diag) == STATUS_OK && line);
        CHECK_MSG(length == want[i].length && memcmp(line, want[i].line, length) == 0 && line[length] == 0, "line %zu",
                  i + 1);
        CHECK(lines.number == i + 1 && lines.offset == want[i].offset && lines.torn == want[i].torn);
    }
    for (int i = 0; i < 3; i++)
        CHECK(file_lines_next(&lines, &line, &length, &diag) == STATUS_OK && !line && lines.number == n);
    file_lines_close(&lines);
    put_file(path, "", 0);
    CHECK(file_lines_open(&lines, path, &diag) == STATUS_OK);
    CHECK(file_lines_next(&lines, &line, &length, &diag) == STATUS_OK && !line);
    file_lines_close(&lines);
    CHECK(file_lines_open(&lines, folder, &diag) == STATUS_IO);
    CHECK(file_lines_open(&lines, in_folder("missing"), &diag) == STATUS_IO);
    file_lines_close(&lines);
    CHECK(memory_live() == 0);
}

/* Lines of growing lengths, so that every position of a newline relative to the read size occurs; one huge line. */
static void long_lines(void)
{
    const char *path = in_folder("lines");
    size_t huge = test_quick() ? 3u << 20 : 100u << 20, length;
    FILE *file = fopen(path, "wb");
    char *piece = malloc(1 << 20), *line;
    struct file_lines lines;
    struct diag diag;

    memset(piece, 'y', 1 << 20);
    for (size_t n = 0; n < 800; n++) {
        fwrite(piece, 1, n, file);
        fputs(n % 3 ? "\n" : "\r\n", file);
    }
    for (size_t n = 0; n < huge; n += 1 << 20)
        fwrite(piece, 1, 1 << 20, file);
    fputs("\nlast", file);
    fclose(file);
    CHECK(file_lines_open(&lines, path, &diag) == STATUS_OK);
    for (size_t n = 0; n < 800; n++)
        CHECK(file_lines_next(&lines, &line, &length, &diag) == STATUS_OK && line && length == n);
    CHECK(file_lines_next(&lines, &line, &length, &diag) == STATUS_OK && length == huge && line[huge - 1] == 'y');
    CHECK(file_lines_next(&lines, &line, &length, &diag) == STATUS_OK && length == 4 && lines.torn);
    file_lines_close(&lines);
    free(piece);
    for (size_t n = 1; n < 4; n++) { /* open: the path; next: the buffer; then growing */
        memory_fail_at(n);
        if (file_lines_open(&lines, path, &diag) == STATUS_OK) {
            enum status status = STATUS_OK;
            do
                status = file_lines_next(&lines, &line, &length, &diag);
            while (!status && line);
            CHECK(status == STATUS_MEMORY);
            file_lines_close(&lines);
        }
        memory_fail_at(0);
        CHECK(memory_live() == 0);
    }
    empty_folder();
}

static void lines_from_standard_input(void)
{
    int ends[2], kept = dup(STDIN_FILENO);
    struct file_lines lines;
    struct buffer buffer = {0};
    struct diag diag;
    char *line;
    size_t length;

    CHECK(pipe(ends) == 0 && write(ends[1], "a\nbb", 4) == 4);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    CHECK(file_lines_open(&lines, "-", &diag) == STATUS_OK);
    CHECK(file_lines_next(&lines, &line, &length, &diag) == STATUS_OK && length == 1);
    CHECK(file_lines_next(&lines, &line, &length, &diag) == STATUS_OK && length == 2 && lines.torn);
    file_lines_close(&lines);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) != -1); /* still open */
    CHECK(file_read(&buffer, "-", 0, &diag) == STATUS_OK && buffer.length == 0);
    buffer_free(&buffer);
    dup2(kept, STDIN_FILENO);
    close(kept);
    close(ends[0]);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

/* Ctrl-C while a command waits for the keyboard. */
static void interrupted_read_stops(void)
{
    int ends[2], kept = dup(STDIN_FILENO);
    struct sigaction action;
    struct file_lines lines;
    struct diag diag;
    char *line;
    size_t length;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, NULL);
    CHECK(pipe(ends) == 0);
    dup2(ends[0], STDIN_FILENO);
    CHECK(file_lines_open(&lines, "-", &diag) == STATUS_OK);
    alarm(1);
    CHECK(file_lines_next(&lines, &line, &length, &diag) == STATUS_STOPPED);
    file_lines_close(&lines);
    dup2(kept, STDIN_FILENO);
    close(kept);
    close(ends[0]);
    close(ends[1]);
}

/* ---- streams ---- */

/* Whatever byte the writer was killed at: the resumed file has whole lines only and goes on from there. */
static void torn_line_is_cut(void)
{
    static const char text[] = "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n";
    const char *path = in_folder("stream");
    struct file_stream stream;
    struct diag diag;

    for (size_t cut = 0; cut < sizeof text; cut++) {
        char want[64];
        size_t whole = cut / 9 * 9;
        put_file(path, text, cut);
        CHECK(file_stream_open(&stream, path, 1, &diag) == STATUS_OK && stream.end == whole);
        CHECK(file_stream_record(&stream, "next", 4, &diag) == STATUS_OK);
        CHECK(file_stream_record(&stream, "", 0, &diag) == STATUS_OK);
        CHECK(file_stream_close(&stream, &diag) == STATUS_OK);
        memcpy(want, text, whole);
        memcpy(want + whole, "next\n\n", 6);
        CHECK_MSG(has_content(path, want, whole + 6), "cut at %zu", cut);
    }
    CHECK(file_stream_open(&stream, path, 0, &diag) == STATUS_OK); /* not to resume: from nothing */
    CHECK(file_stream_close(&stream, &diag) == STATUS_OK && has_content(path, "", 0));
    empty_folder();
    CHECK(memory_live() == 0);
}

/* The last newline lies further back than one read of the search. */
static void long_torn_line_is_cut(void)
{
    const char *path = in_folder("stream");
    size_t n = 300001;
    char *bytes = malloc(n);
    struct file_stream stream;

    memset(bytes, 'z', n);
    bytes[4] = '\n';
    put_file(path, bytes, n);
    CHECK(file_stream_open(&stream, path, 1, NULL) == STATUS_OK && stream.end == 5);
    CHECK(file_stream_close(&stream, NULL) == STATUS_OK && has_content(path, "zzzz\n", 5));
    bytes[4] = 'z';
    put_file(path, bytes, n);
    CHECK(file_stream_open(&stream, path, 1, NULL) == STATUS_OK && stream.end == 0);
    CHECK(file_stream_close(&stream, NULL) == STATUS_OK && has_content(path, "", 0));
    free(bytes);
    empty_folder();
}

/* A record that does not fit leaves whole lines behind, and the failure stays. */
static void full_disk_cuts_record(void)
{
    const char *path = in_folder("stream");
    struct file_stream stream;
    struct diag diag;

    for (size_t n = 1; n <= 3; n++) {
        size_t written = 0;
        CHECK(file_stream_open(&stream, path, 0, &diag) == STATUS_OK);
        file_fail_at(n);
        while (file_stream_record(&stream, "0123456789", 10, &diag) == STATUS_OK)
            written++;
        file_fail_at(0);
        CHECK(written == n - 1 && strstr(diag.message, "stream: cannot write: No space left"));
        CHECK(file_stream_record(&stream, "0123456789", 10, &diag) == STATUS_IO);
        CHECK(file_stream_close(&stream, &diag) == STATUS_IO);
        CHECK(has_content(path, "0123456789\n0123456789\n", written * 11));
    }
    empty_folder();
    CHECK(memory_live() == 0);
}

/* kill -9 in the middle of writing: what is there is whole lines, in order, apart from the last; then resume. */
static void killed_writer(void)
{
    const char *path = in_folder("stream");
    struct file_stream stream;
    struct file_lines lines;
    struct timespec nap = {0, 20000000};
    char *line, want[64];
    size_t length, n = 0;
    pid_t child = fork();

    if (child == 0) {
        if (file_stream_open(&stream, path, 0, NULL))
            _exit(1);
        for (unsigned i = 0;; i++) {
            int size = snprintf(want, sizeof want, "record %u", i);
            if (file_stream_record(&stream, want, (size_t)size, NULL))
                _exit(1);
        }
    }
    while (!file_exists(path) && waitpid(child, NULL, WNOHANG) == 0)
        nanosleep(&nap, NULL);
    nanosleep(&nap, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK(file_stream_open(&stream, path, 1, NULL) == STATUS_OK && file_stream_close(&stream, NULL) == STATUS_OK);
    CHECK(file_lines_open(&lines, path, NULL) == STATUS_OK);
    while (file_lines_next(&lines, &line, &length, NULL) == STATUS_OK && line) {
        snprintf(want, sizeof want, "record %zu", n++);
        CHECK_MSG(strcmp(line, want) == 0 && !lines.torn, "found %s, expected %s", line, want);
    }
    file_lines_close(&lines);
    CHECK(n > 0);
    empty_folder();
}

static void stream_to_standard_output(void)
{
    int ends[2], kept;
    struct file_stream stream;
    struct diag diag;
    char got[16];

    fflush(stdout);
    kept = dup(STDOUT_FILENO);
    CHECK(pipe(ends) == 0);
    dup2(ends[1], STDOUT_FILENO);
    CHECK(file_stream_open(&stream, "-", 1, &diag) == STATUS_OK);
    CHECK(file_stream_record(&stream, "abc", 3, &diag) == STATUS_OK);
    CHECK(read(ends[0], got, sizeof got) == 4 && memcmp(got, "abc\n", 4) == 0);
    signal(SIGPIPE, SIG_IGN);
    close(ends[0]);
    CHECK(file_stream_record(&stream, "abc", 3, &diag) == STATUS_IO && strstr(diag.message, "Broken pipe"));
    CHECK(file_stream_close(&stream, &diag) == STATUS_IO);
    CHECK(fcntl(STDOUT_FILENO, F_GETFD) != -1);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(ends[1]);
}

int main(void)
{
    const char *root = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/arklet-test-XXXXXX", root && *root ? root : "/tmp");
    if (!mkdtemp(folder))
        return 1;
    RUN(map_and_read);
    RUN(make_folders);
    RUN(replace_file);
    RUN(full_disk_keeps_old_file);
    RUN(real_write_error);
    RUN(lines_of_all_kinds);
    RUN(long_lines);
    RUN(lines_from_standard_input);
    RUN(interrupted_read_stops);
    RUN(torn_line_is_cut);
    RUN(long_torn_line_is_cut);
    RUN(full_disk_cuts_record);
    RUN(killed_writer);
    RUN(stream_to_standard_output);
    empty_folder();
    rmdir(folder);
    return TEST_RESULT();
}
