/* A crowd of senders that costs almost nothing: posts prepared HTTP requests over connections that it keeps.
 *
 *   load PORT REQUESTS LOG CONNECTIONS RATE
 *
 * One thread, epoll, HTTP/1.1 on loopback, one request at a time on a connection. REQUESTS holds them one after the
 * other, each behind its length (32 bits, the machine's order). RATE 0: every connection sends its next request when it
 * has its answer. RATE n: request i is due i/n seconds after the start, whether the others are answered or not; while
 * no connection is free it waits, and the wait is part of its time.
 * Each request becomes a record in LOG, in the order of the requests: when it was due, when its answer was read whole
 * (CLOCK_MONOTONIC, ns), and the status; 0 where the connection broke.
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
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, EVENTS = 256 };

struct record {
    uint64_t due_ns;
    uint64_t answered_ns;
    uint64_t status;
};

struct request {
    const char *bytes;
    size_t length;
};

struct connection {
    int fd;
    size_t number; /* of the request that is under way */
    size_t sent;
    size_t used;  /* of the answer's head, in `in` */
    size_t still; /* bytes of the answer's body that have not come; SIZE_MAX: the head is not complete */
    char in[BUFFER];
};

static struct request *requests;
static struct record *records;
static size_t count, next, answered;
/* A ring, so that all take turns: servers close what is idle for some seconds. */
static struct connection **idle;
static size_t crowd, idlers, first_idle;
static int poll_fd;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_requests(const char *name) {
    struct stat about;
    int fd = open(name, O_RDONLY);
    if (fd < 0 || fstat(fd, &about)) die(name);
    size_t size = (size_t)about.st_size;
    const char *all = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (all == MAP_FAILED) die("mmap");
    for (int pass = 0; pass < 2; pass++) {
        count = 0;
        for (size_t at = 0; at < size; count++) {
            uint32_t length;
            memcpy(&length, all + at, sizeof length);
            if (pass) requests[count] = (struct request){all + at + sizeof length, length};
            at += sizeof length + length;
        }
        if (!pass) requests = calloc(count, sizeof *requests);
        if (!requests) die("memory");
    }
    records = calloc(count, sizeof *records);
    if (!records) die("memory");
}

static void open_connection(struct connection *c, int port) {
    int one = 1;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&where, sizeof where)) die("connecting");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
}

static void push(struct connection *c) {
    struct request *r = &requests[c->number];
    while (c->sent < r->length) {
        ssize_t done = send(c->fd, r->bytes + c->sent, r->length - c->sent, MSG_NOSIGNAL);
        if (done < 0) return; /* EAGAIN: epoll tells; anything else: the read that follows tells */
        c->sent += (size_t)done;
    }
}

static void begin(struct connection *c, uint64_t due_ns) {
    c->number = next++;
    c->sent = c->used = 0;
    c->still = SIZE_MAX;
    records[c->number].due_ns = due_ns;
    push(c);
}

static void rest_now(struct connection *c) { idle[(first_idle + idlers++) % crowd] = c; }

static struct connection *next_idle(void) {
    struct connection *c = idle[first_idle];
    first_idle = (first_idle + 1) % crowd;
    idlers--;
    return c;
}

static void end(struct connection *c, uint64_t status) {
    records[c->number].answered_ns = now_ns();
    records[c->number].status = status;
    answered++;
    rest_now(c);
}

/* Looks whether the head is complete; then says how much of the body is still to come. */
static void read_head(struct connection *c) {
    const char *close = memmem(c->in, c->used, "\r\n\r\n", 4);
    if (!close) return;
    size_t head = (size_t)(close - c->in) + 4;
    c->in[head - 1] = 0;
    const char *length = strcasestr(c->in, "\ncontent-length:");
    size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
    c->still = body - (c->used - head);
}

/* Reads what came. Ends the process's part of a connection that broke: a sender who is cut off is a finding. */
static void pull(struct connection *c) {
    for (;;) {
        static char rest[BUFFER];
        int heading = c->still == SIZE_MAX;
        ssize_t got = heading ? recv(c->fd, c->in + c->used, BUFFER - 1 - c->used, 0) : recv(c->fd, rest, BUFFER, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) {
            fprintf(stderr, "load: a connection broke at request %zu\n", c->number);
            exit(1);
        }
        if (heading) {
            c->used += (size_t)got;
            read_head(c);
        } else {
            c->still -= (size_t)got;
        }
        if (c->still == 0) {
            end(c, strtoul(c->in + 9, NULL, 10)); /* "HTTP/1.1 " */
            return;
        }
    }
}

static void write_log(const char *name) {
    FILE *log = fopen(name, "wb");
    if (!log || fwrite(records, sizeof *records, count, log) != count || fclose(log)) die(name);
}

/* Starts what is due and finds a free connection. Returns for how long there is nothing to start, in ms. */
static int start_due(uint64_t begun_ns, double rate) {
    for (; idlers && next < count;) {
        uint64_t now = now_ns(), due = rate > 0 ? begun_ns + (uint64_t)((double)next / rate * 1e9) : now;
        if (due > now) return (int)((due - now) / 1000000);
        begin(next_idle(), due);
    }
    return 1000;
}

int main(int words, char **word) {
    if (words != 6) {
        fprintf(stderr, "usage: load PORT REQUESTS LOG CONNECTIONS RATE\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    read_requests(word[2]);
    crowd = strtoul(word[4], NULL, 10);
    double rate = strtod(word[5], NULL);
    struct connection *connections = calloc(crowd, sizeof *connections);
    idle = calloc(crowd, sizeof *idle);
    poll_fd = epoll_create1(0);
    if (!connections || !idle || poll_fd < 0) die("starting");
    for (size_t i = 0; i < crowd; i++) {
        open_connection(&connections[i], atoi(word[1]));
        connections[i].number = SIZE_MAX;
        rest_now(&connections[i]);
    }
    uint64_t begun_ns = now_ns();
    struct epoll_event events[EVENTS];
    while (answered < count) {
        int ready = epoll_wait(poll_fd, events, EVENTS, start_due(begun_ns, rate));
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->number == SIZE_MAX || records[c->number].answered_ns) continue; /* idle */
            if (events[i].events & EPOLLOUT) push(c);
            if (events[i].events & EPOLLIN) pull(c);
        }
    }
    write_log(word[3]);
    return 0;
}
