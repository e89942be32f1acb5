// Remembers what a power cut would leave of the files under $UNSYNCED_FILES: their content at the last sync, and the writes since.
//
// Loaded into the server with LD_PRELOAD. At each fsync or fdatasync the file is copied to $UNSYNCED_SHADOW before the call returns, so that
// whoever is answered after it is answered for what is in the copy. Writes after it are appended to a log beside the copy: offset and length as
// two 64-bit numbers, then the bytes. The campaign kills the process and makes the files anew from copies and logs.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// The shadow's path for a descriptor; 0 if the file is none of those that are watched.
static int shadow(int fd, char *copy, char *log) {
    const char *files = getenv("UNSYNCED_FILES"), *folder = getenv("UNSYNCED_SHADOW");
    char link[64], path[PATH_MAX];
    if (!files || !folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    size_t prefix = strlen(files);
    // The file itself, its log and its journal; not the index of the log, which is made anew after a crash.
    if (!name || strncmp(path, files, prefix) || strstr(name, "-shm") || strstr(name, ".lock")) return 0;
    snprintf(copy, PATH_MAX, "%s%s", folder, name);
    snprintf(log, PATH_MAX, "%s%s.writes", folder, name);
    return 1;
}

static ssize_t put(int fd, const void *bytes, size_t length, off_t at) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite64");
    return real(fd, bytes, length, at);
}

// The whole file, where there is no copy yet.
static void copy_all(int fd, const char *copy) {
    char fresh[PATH_MAX + 8], buffer[1 << 16];
    snprintf(fresh, sizeof fresh, "%s.new", copy);
    int to = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t at = 0;
    for (ssize_t got; to >= 0 && (got = pread(fd, buffer, sizeof buffer, at)) > 0; at += got)
        if (put(to, buffer, got, at) != got) abort();
    if (to < 0 || close(to) || rename(fresh, copy)) abort();
}

// The writes since the last sync go into the copy. If the process ends within, they are in the log still.
static void replay(int fd, int to, const char *log) {
    int from = open(log, O_RDONLY);
    uint64_t head[2];
    while (from >= 0 && read(from, head, sizeof head) == sizeof head) {
        char *bytes = malloc(head[1]);
        if (!bytes || read(from, bytes, head[1]) != (ssize_t)head[1] || put(to, bytes, head[1], (off_t)head[0]) != (ssize_t)head[1]) abort();
        free(bytes);
    }
    struct stat now;
    if (fstat(fd, &now) || ftruncate(to, now.st_size)) abort();
    if (from >= 0) close(from);
    if (close(to)) abort();
}

static void synced(int fd) {
    char copy[PATH_MAX], log[PATH_MAX];
    if (!shadow(fd, copy, log)) return;
    pthread_mutex_lock(&lock);
    int to = open(copy, O_WRONLY);
    if (to < 0) copy_all(fd, copy); else replay(fd, to, log);
    unlink(log);
    pthread_mutex_unlock(&lock);
}

static void wrote(int fd, const void *bytes, size_t length, off_t at) {
    char copy[PATH_MAX], log[PATH_MAX];
    if (!shadow(fd, copy, log)) return;
    pthread_mutex_lock(&lock);
    uint64_t head[2] = {(uint64_t)at, (uint64_t)length};
    int to = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (to < 0 || write(to, head, sizeof head) != sizeof head || write(to, bytes, length) != (ssize_t)length || close(to)) abort();
    pthread_mutex_unlock(&lock);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite64");
    ssize_t done = real(fd, bytes, length, at);
    if (done > 0) wrote(fd, bytes, (size_t)done, at);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    int done = real(fd);
    if (!done) synced(fd);
    return done;
}

int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    int done = real(fd);
    if (!done) synced(fd);
    return done;
}
