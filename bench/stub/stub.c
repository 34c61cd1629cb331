/* A provider that costs almost nothing: answers every POST with a fixed Meta-like 200 and a message id of its own.
 *
 *   stub PORT LOG
 *
 * One thread, epoll, HTTP/1.1 with keep-alive and pipelining, loopback only. Each request becomes a record in LOG:
 * when it was read (CLOCK_MONOTONIC, ns), its number, and the texts of "biz_opaque_callback_data" and "to", if any.
 * The record is written after the answer has left, so that writing costs the sender nothing. The message id is
 * "wamid.BENCH" and the number, 16 hexadecimal digits. A GET is answered 200 without a record.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, EVENTS = 256, RECORDS = 4096 };

struct record {
    uint64_t at_ns;
    uint64_t number;
    char ref[40];
    char to[24];
};

struct connection {
    int fd;
    size_t used;
    char in[BUFFER];
};

static struct record records[RECORDS];
static size_t recorded;
static uint64_t numbered;
static int log_fd;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void flush_records(void) {
    const char *from = (const char *)records;
    size_t left = recorded * sizeof(struct record);
    while (left) {
        ssize_t done = write(log_fd, from, left);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) die("writing the log");
        from += done;
        left -= (size_t)done;
    }
    recorded = 0;
}

/* Copies the string value of a JSON key; `key` holds its quotes. What is not there stays empty. */
static void take_value(const char *body, size_t length, const char *key, char *into, size_t room) {
    const char *end = body + length, *at = memmem(body, length, key, strlen(key));
    if (!at) return;
    at += strlen(key);
    while (at < end && (*at == ':' || *at == ' ')) at++;
    if (at == end || *at++ != '"') return;
    for (size_t i = 0; i + 1 < room && at < end && *at != '"'; i++) into[i] = *at++;
}

static size_t content_length(const char *head, size_t length) {
    static const char name[] = "content-length:";
    for (size_t i = 0; i + sizeof name < length; i++)
        if (head[i] == '\n' && !strncasecmp(head + i + 1, name, sizeof name - 1))
            return strtoul(head + i + sizeof name, NULL, 10);
    return 0;
}

static size_t answer(char *out, int post, const char *body, size_t length, uint64_t at_ns) {
    char text[256];
    int size;
    if (post) {
        if (recorded == RECORDS) flush_records();
        struct record *record = &records[recorded++];
        memset(record, 0, sizeof *record);
        record->at_ns = at_ns;
        record->number = ++numbered;
        take_value(body, length, "\"biz_opaque_callback_data\"", record->ref, sizeof record->ref);
        take_value(body, length, "\"to\"", record->to, sizeof record->to);
        size = snprintf(text, sizeof text,
                        "{\"messaging_product\":\"whatsapp\",\"contacts\":[{\"input\":\"%s\",\"wa_id\":\"%s\"}],"
                        "\"messages\":[{\"id\":\"wamid.BENCH%016llx\",\"message_status\":\"accepted\"}]}",
                        record->to, record->to, (unsigned long long)record->number);
    } else {
        size = snprintf(text, sizeof text, "{\"answered\":%llu}", (unsigned long long)numbered);
    }
    return (size_t)sprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size,
                           text);
}

/* Answers every whole request in the buffer. Returns 0 when the connection is of no use any more. */
static int serve(struct connection *c) {
    static char out[BUFFER * 4];
    size_t sent = 0, taken = 0;
    uint64_t at_ns = now_ns();
    while (taken < c->used && sent + 1024 < sizeof out) {
        const char *head = c->in + taken, *end = memmem(head, c->used - taken, "\r\n\r\n", 4);
        if (!end) break;
        size_t head_length = (size_t)(end - head) + 4, body_length = content_length(head, head_length);
        if (head_length + body_length > BUFFER) return 0;
        if (head_length + body_length > c->used - taken) break;
        sent += answer(out + sent, *head == 'P', head + head_length, body_length, at_ns);
        taken += head_length + body_length;
    }
    memmove(c->in, c->in + taken, c->used - taken);
    c->used -= taken;
    for (size_t at = 0; at < sent;) {
        ssize_t done = send(c->fd, out + at, sent - at, MSG_NOSIGNAL);
        if (done < 0 && errno != EAGAIN && errno != EINTR) return 0;
        if (done > 0) at += (size_t)done;
    }
    return c->used < BUFFER;
}

static int listening(int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&where, sizeof where) || listen(fd, 1024)) die("listening");
    return fd;
}

static void welcome(int poll_fd, int listen_fd) {
    int one = 1, fd;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *c = malloc(sizeof *c);
        if (!c) die("memory");
        c->fd = fd;
        c->used = 0;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
    }
}

int main(int count, char **words) {
    if (count != 3) {
        fprintf(stderr, "usage: stub PORT LOG\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    log_fd = open(words[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    if (log_fd < 0) die("opening the log");
    int listen_fd = listening(atoi(words[1])), poll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    if (poll_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, listen_fd, &event)) die("epoll");
    for (;;) {
        int ready = epoll_wait(poll_fd, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                welcome(poll_fd, listen_fd);
                continue;
            }
            ssize_t got = recv(c->fd, c->in + c->used, BUFFER - c->used, 0);
            if (got > 0) c->used += (size_t)got;
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) || !serve(c)) {
                close(c->fd);
                free(c);
            }
        }
        if (recorded) flush_records();
    }
}
