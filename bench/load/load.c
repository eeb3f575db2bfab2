/* The load generator of `python -m bench`: many clients in one thread, by epoll (Linux).
 *
 *     cc -O2 -o load load.c
 *     load echo    --port P --path /ws/echo --clients 64 --size 32 --depth 1
 *     load fanout  --port P --path /ws/room --clients 200 --depth 8         one more connection publishes
 *     load chat    --port P --path /ws/chat --clients 32                    all talk, all hear; JSON
 *     load sse     --port P --sse-path /sse --clients 200                   a POST to the same path publishes
 *     load mixed   --port P --path /ws/room --sse-path /sse --clients 100   so many of each; a WebSocket publishes
 *     load http    --port P --path /json --clients 64                       keep-alive, one request at a time
 *     load idle    --port P --path /ws/echo --clients 5000                  holds them until its input ends;
 *                                                                           with --streams those of --sse-path
 *
 *     --warmup S --seconds S   run so long before, and while, messages count
 *     --rate N                 fanout, open loop: publish N times a second, whatever comes back
 *     --slow                   fanout: one subscriber more, which never reads
 *     --beside N --beside-path /x/%d   N more WebSockets that only sit there; %d is their number
 *     --probe PATH             an echo each millisecond on a connection of its own: how long others wait
 *
 * A message counts when its receiver has read all of it, and found the bytes that were sent, in order. All that
 * is in flight at the end has to arrive as well. The first thing that is wrong ends the run with exit code 1.
 *
 * On stderr: "measuring" and "measured" where the counted part begins and ends, "holding" when idle ones are
 * there. On stdout: one line of JSON. Upgrades carry the head that Chrome sends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KINDS 16         /* different payloads: a lost, doubled or exchanged message shows as the wrong one */
#define AT_ONCE 64       /* handshakes under way at a time: below anyone's backlog */
#define PER_ADDRESS 8000 /* connections from one source address: there are about 28 000 ports */
#define INPUT (4 << 20)
#define PATIENCE 10.0    /* seconds for a handshake, and for what is in flight at the end */

enum wire { WEBSOCKET, STREAM, REQUESTS };
enum role { RECEIVER, PUBLISHER, BESIDE, SLOW, PROBE };

typedef struct {
    int fd;
    uint32_t index;
    uint8_t wire, role, ready, chunked, writing;
    uint64_t sent, got;           /* messages */
    uint64_t sent_at;             /* when the last one went out, ns */
    char *kept, *unsent;          /* the beginning of something unfinished; what the socket did not take */
    size_t kept_length, unsent_length;
    uint64_t chunk_left;          /* of a chunked body: bytes of this chunk that are still to come */
    uint8_t chunk_part;           /* 0 its size line, 1 its data, 2 the line end behind it */
} Client;

static const char *const NAMES[] = {"echo", "fanout", "chat", "sse", "mixed", "http", "idle"};
static enum mode { ECHOES, FANOUT, CHAT, SSE, MIXED, HTTP, IDLE, NONE } mode = NONE;
static struct {
    const char *path, *sse_path, *beside_path, *probe;
    int port, clients, depth, slow, beside, streams;
    size_t size;
    double seconds, warmup, rate;
} options = {.path = "/", .sse_path = "/sse", .beside_path = "/", .clients = 1, .depth = 1, .size = 32,
             .seconds = 1, .warmup = 0.15};

static Client *clients, *publisher, *probe;
static int client_count, epoll, handshakes, open_loop;
static char *payloads[KINDS], *frames[KINDS], *posts[KINDS];
static size_t frame_size, post_size[KINDS];
static char input[INPUT], output[1 << 20];

static enum { JOINING, RUNNING, ENDING } phase;
static int counting;
static uint64_t messages, sent, late, in_flight, began, first_counted;
static uint64_t published, published_at[KINDS], missing[KINDS]; /* of fanout, sse, mixed: per message in flight */
static uint64_t receivers;
static uint32_t *heard;                                         /* of chat: [listener][speaker], the last number */
static uint64_t probe_sent, probe_next;
static double slow_ended = -1;

/* ---- time, errors, figures ---- */

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *p = text; *p; p++)
        if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ' || (unsigned char)*p > '~')
            *p = *p == '"' ? '\'' : ' ';
    printf("{\"mode\": \"%s\", \"errors\": 1, \"error\": \"%s\"}\n", NAMES[mode], text);
    exit(1);
}

/* 32 steps in each power of two: no figure is more than 3 % off. */
typedef struct { uint64_t count[64 * 64], total, most; } Histogram;
static Histogram delivery, waits;

static void note(Histogram *h, uint64_t ns)
{
    int power = ns < 64 ? 0 : 63 - __builtin_clzll(ns) - 5;
    h->count[power * 64 + (ns >> power)]++;
    h->total++;
    if (ns > h->most)
        h->most = ns;
}

static double quantile(const Histogram *h, double part)
{
    uint64_t wanted = (uint64_t)(part * h->total), sum = 0;
    for (int i = 0; i < 64 * 64; i++)
        if ((sum += h->count[i]) > wanted)
            return (double)((uint64_t)(i % 64) << (i / 64)) / 1000;
    return (double)h->most / 1000;
}

static void print_histogram(const char *name, const Histogram *h)
{
    printf(", \"%s\": {\"count\": %lu, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}", name,
           (unsigned long)h->total, quantile(h, .5), quantile(h, .99), quantile(h, .999), (double)h->most / 1000);
}

/* ---- what is sent ---- */

static size_t make_frame(char *to, int opcode, const char *data, size_t size)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char *p = (unsigned char *)to;
    *p++ = 0x80 | opcode;
    if (size < 126) {
        *p++ = 0x80 | size;
    } else if (size < 65536) {
        *p++ = 0x80 | 126;
        *p++ = size >> 8;
        *p++ = size;
    } else {
        *p++ = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            *p++ = (uint64_t)size >> shift;
    }
    memcpy(p, mask, 4);
    p += 4;
    for (size_t i = 0; i < size; i++)
        p[i] = data[i] ^ mask[i & 3];
    return p + size - (unsigned char *)to;
}

static void make_messages(void)
{
    for (int k = 0; k < KINDS; k++) {
        payloads[k] = malloc(options.size);
        for (size_t i = 0; i < options.size; i++)
            payloads[k][i] = 'a' + (i * 7 + k) % 26;
        frames[k] = malloc(options.size + 14);
        frame_size = make_frame(frames[k], 1, payloads[k], options.size);
        posts[k] = malloc(options.size + 300);
        int head = sprintf(posts[k], "POST %.120s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: text/plain\r\n"
                           "Content-Length: %zu\r\n\r\n", options.sse_path, options.port, options.size);
        memcpy(posts[k] + head, payloads[k], options.size);
        post_size[k] = head + options.size;
    }
}

/* What Chrome sends, about 660 bytes with the path: five short fields would flatter the memory per connection. */
static const char FIELDS[] =
    "Pragma: no-cache\r\nCache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,en-US;q=0.8,de;q=0.7\r\n"
    "Cookie: session=4f1d0c9a7be24c55a0d2f0b8e6c1937d; theme=light; consent=all; csrf=d41d8cd98f00b204e9800998ecf8427e91; _visits=1.2.837465.1763\r\n";

static int make_head(char *to, size_t room, int wire, const char *path)
{
    if (wire == WEBSOCKET)
        return snprintf(to, room, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Origin: http://127.0.0.1:%d\r\nSec-WebSocket-Version: 13\r\n%s"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
                        path, options.port, options.port, FIELDS);
    return snprintf(to, room, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: keep-alive\r\n"
                    "Accept: text/event-stream\r\nReferer: http://127.0.0.1:%d/\r\n%s\r\n",
                    path, options.port, options.port, FIELDS);
}

static void watch(Client *c)
{
    uint32_t events = (c->role == SLOW && c->ready ? EPOLLRDHUP : EPOLLIN) | (c->writing ? EPOLLOUT : 0);
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void send_bytes(Client *c, const char *data, size_t size)
{
    ssize_t taken = 0;
    if (!c->unsent_length && (taken = send(c->fd, data, size, MSG_NOSIGNAL)) < 0) {
        if (errno != EAGAIN)
            fail("send to client %u: %s", c->index, strerror(errno));
        taken = 0;
    }
    if ((size_t)taken == size)
        return;
    c->unsent = realloc(c->unsent, c->unsent_length + size - taken);
    memcpy(c->unsent + c->unsent_length, data + taken, size - taken);
    c->unsent_length += size - taken;
    c->writing = 1;
    watch(c);
}

static void send_rest(Client *c)
{
    ssize_t taken = send(c->fd, c->unsent, c->unsent_length, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN)
        fail("send to client %u: %s", c->index, strerror(errno));
    if (taken > 0) {
        c->unsent_length -= taken;
        memmove(c->unsent, c->unsent + taken, c->unsent_length);
    }
    if (!c->unsent_length) {
        c->writing = 0;
        watch(c);
    }
}

/* Send the next messages of a client in one piece. They differ from client to client, so that a mix-up shows. */
static void send_messages(Client *c, int count, uint64_t time)
{
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        int kind = (c->index + c->sent++) % KINDS;
        memcpy(output + size, frames[kind], frame_size);
        if ((size += frame_size) + frame_size > sizeof output) {
            send_bytes(c, output, size);
            size = 0;
        }
    }
    c->sent_at = time;
    sent += count;
    if (size)
        send_bytes(c, output, size);
}

static void publish(int count, uint64_t time)
{
    for (int i = 0; i < count; i++) {
        missing[published % KINDS] = receivers;
        published_at[published++ % KINDS] = time;
    }
    in_flight += count * receivers;
    if (publisher->wire == WEBSOCKET) {
        send_messages(publisher, count, time);
    } else {
        int kind = publisher->sent++ % KINDS;
        sent++;
        send_bytes(publisher, posts[kind], post_size[kind]);
    }
}

static void say(Client *c, uint64_t time)
{
    char text[1 << 16];
    size_t size = sprintf(text, "~%u~%lu~", c->index, (unsigned long)++c->sent);
    if (size < options.size) {
        memset(text + size, 'x', options.size - size);
        size = options.size;
    }
    c->sent_at = time;
    c->got = 0;
    sent++;
    in_flight += options.clients;
    size = make_frame(output, 1, text, size);
    send_bytes(c, output, size);
}

static void request(Client *c, uint64_t time)
{
    char head[300];
    int size = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: application/json\r\n\r\n",
                        options.path, options.port);
    c->sent_at = time;
    c->sent++;
    sent++;
    in_flight++;
    send_bytes(c, head, size);
}

/* ---- what is received ---- */

static void delivered(uint64_t since, uint64_t time)
{
    in_flight--;
    if (!counting || (open_loop && since < first_counted))
        return;
    messages++;
    note(&delivery, time > since ? time - since : 0);
}

/* A publication has come. Answers how many new ones may follow: one for each that has now reached everybody. */
static int take_publication(Client *c, const char *data, size_t size, uint64_t time)
{
    uint64_t number = c->got++;
    if (number >= published)
        fail("client %u got a message that was not published", c->index);
    if (size != options.size || memcmp(data, payloads[number % KINDS], size))
        fail("client %u got a wrong message: %.*s", c->index, (int)(size < 80 ? size : 80), data);
    if (open_loop) {
        delivered(began + (uint64_t)(number * (1e9 / options.rate)), time);
        return 0;
    }
    delivered(published_at[number % KINDS], time);
    return --missing[number % KINDS] == 0;
}

static void take_echo(Client *c, const char *data, size_t size, uint64_t time)
{
    int kind = (c->index + c->got++) % KINDS;
    if (c->got > c->sent || size != options.size || memcmp(data, payloads[kind], size))
        fail("client %u got a wrong echo: %.*s", c->index, (int)(size < 80 ? size : 80), data);
    delivered(c->sent_at, time);
}

static void take_chat(Client *c, const char *data, size_t size, uint64_t time)
{
    const char *mark = memchr(data, '~', size);
    if (size < 2 || data[0] != '{' || data[size - 1] != '}')
        fail("client %u got no JSON object: %.*s", c->index, (int)(size < 80 ? size : 80), data);
    if (!mark) {
        if (!memmem(data, size, "\"server\"", 8))
            fail("client %u got a wrong message: %.*s", c->index, (int)(size < 80 ? size : 80), data);
        return; /* a welcome, or that someone joined */
    }
    char *end;
    unsigned long speaker = strtoul(mark + 1, &end, 10), number = strtoul(end + 1, &end, 10);
    if (speaker >= (unsigned long)options.clients)
        fail("client %u heard a speaker that is not there", c->index);
    uint32_t *last = &heard[(size_t)c->index * options.clients + speaker];
    if (number != ++*last)
        fail("client %u heard message %lu of %lu, and not %u", c->index, number, speaker, *last);
    Client *from = &clients[speaker];
    delivered(from->sent_at, time);
    if (++from->got == (uint64_t)options.clients && phase == RUNNING)
        say(from, time);
}

static void control(Client *c, int opcode, const char *data, size_t size)
{
    char answer[140];
    if (opcode == 8)
        fail("client %u was closed with %d %.*s", c->index,
             size < 2 ? 1005 : (unsigned char)data[0] << 8 | (unsigned char)data[1], (int)(size < 2 ? 0 : size - 2),
             data + 2);
    if (opcode == 9)
        send_bytes(c, answer, make_frame(answer, 10, data, size));
}

/* Take whole frames; answers how many bytes they were. */
static size_t take_frames(Client *c, const char *data, size_t length, uint64_t time)
{
    size_t at = 0;
    int echoes = 0, finished = 0;
    while (length - at >= 2) {
        const unsigned char *p = (const unsigned char *)data + at;
        uint64_t size = p[1], head = 2;
        if (size == 126) {
            head = 4;
            if (length - at < head)
                break;
            size = p[2] << 8 | p[3];
        } else if (size == 127) {
            head = 10;
            if (length - at < head)
                break;
            size = 0;
            for (int i = 2; i < 10; i++)
                size = size << 8 | p[i];
        }
        if (p[1] & 0x80 || !(p[0] & 0x80) || p[0] & 0x70)
            fail("client %u got a frame that starts with %02x %02x", c->index, p[0], p[1]);
        if (size > INPUT / 2)
            fail("client %u got a frame of %lu bytes", c->index, (unsigned long)size);
        if (length - at < head + size)
            break;
        const char *body = data + at + head;
        at += head + size;
        if (p[0] & 8) {
            control(c, p[0] & 15, body, size);
        } else if ((p[0] & 15) != 1) {
            fail("client %u got a message that is not text", c->index);
        } else if (c->role == PROBE) {
            note(&waits, time - probe_sent);
            probe_sent = 0;
        } else if (mode == CHAT) {
            take_chat(c, body, size, time);
        } else if (mode == ECHOES) {
            take_echo(c, body, size, time);
            echoes++;
        } else if (c->role == RECEIVER) {
            finished += take_publication(c, body, size, time);
        } else {
            fail("a connection that does not listen got a message: %.*s", (int)(size < 80 ? size : 80), body);
        }
    }
    if (phase == RUNNING && echoes) {
        in_flight += echoes;
        send_messages(c, echoes, time);
    }
    if (phase == RUNNING && finished)
        publish(finished, time);
    return at;
}

/* Take the framing out of a chunked body, in place; answers the length of what is left. */
static size_t unchunk(Client *c, char *data, size_t length)
{
    size_t kept = 0;
    for (size_t at = 0; at < length;) {
        if (c->chunk_part == 1) {
            size_t part = length - at < c->chunk_left ? length - at : c->chunk_left;
            memmove(data + kept, data + at, part);
            kept += part;
            at += part;
            if (!(c->chunk_left -= part))
                c->chunk_part = 2;
            continue;
        }
        char byte = data[at++];
        if (c->chunk_part == 2) {
            c->chunk_part = byte == '\n' ? 0 : 2;
        } else if (byte == '\n') {
            if (!c->chunk_left)
                fail("the stream of client %u has ended", c->index);
            c->chunk_part = 1;
        } else if (byte != '\r') {
            int digit = byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10;
            if (digit < 0 || digit > 15)
                fail("client %u got a chunk whose size has a %02x", c->index, (unsigned char)byte);
            c->chunk_left = c->chunk_left << 4 | digit;
        }
    }
    return kept;
}

/* Take whole events of a stream; comments and other fields are skipped. */
static size_t take_events(Client *c, const char *data, size_t length, uint64_t time)
{
    size_t at = 0, line = 0, size = 0;
    int finished = 0;
    const char *found = NULL, *end;
    while ((end = memchr(data + line, '\n', length - line))) {
        size_t width = end - data - line;
        if (width && data[line + width - 1] == '\r')
            width--;
        if (width > 4 && !memcmp(data + line, "data:", 5)) {
            if (found)
                fail("client %u got an event of two lines", c->index);
            size_t skip = width > 5 && data[line + 5] == ' ' ? 6 : 5;
            found = data + line + skip;
            size = width - skip;
        }
        line = end - data + 1;
        if (width == 0) {
            if (found)
                finished += take_publication(c, found, size, time);
            found = NULL;
            at = line;
        }
    }
    if (phase == RUNNING && finished) {
        /* A POST is one message: the next waits for the answer to the last, too. */
        if (publisher->wire == WEBSOCKET)
            publish(finished, time);
        else if (publisher->got == publisher->sent)
            publish(1, time);
    }
    return at;
}

static const char *field(const char *head, const char *end, const char *name)
{
    size_t size = strlen(name);
    for (const char *p = head; (p = memchr(p, '\n', end - p)) && p + size + 1 < end;)
        if (!strncasecmp(++p, name, size) && p[size] == ':') {
            for (p += size + 1; *p == ' '; p++)
                ;
            return p;
        }
    return NULL;
}

/* Take an answer to a request of ours, when all of it is there. */
static size_t take_answer(Client *c, const char *data, size_t length, uint64_t time)
{
    static char *first;
    static size_t first_size;
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    end += 4;
    size_t body = 0, whole = end - data;
    const char *size = field(data, end, "content-length"), *type = field(data, end, "content-type");
    if (length < 12 || data[9] != '2')
        fail("client %u got %.*s", c->index, (int)(length < 200 ? length : 200), data);
    if (size) {
        body = strtoul(size, NULL, 10);
        whole += body;
    } else if (field(data, end, "transfer-encoding")) {
        /* One answer is under way on a connection, so what ends it is the end of all. */
        if (length < whole + 5 || memcmp(data + length - 5, "0\r\n\r\n", 5))
            return 0;
        body = length - whole;
        whole = length;
    }
    if (length < whole)
        return 0;
    c->got++;
    if (c->role == PUBLISHER) {
        if (phase == RUNNING && !in_flight)
            publish(1, time);
        return whole;
    }
    if (!type || strncasecmp(type, "application/json", 16) || !body)
        fail("client %u got no JSON", c->index);
    if (!first) {
        first = malloc(first_size = body);
        memcpy(first, end, body);
    }
    if (body != first_size || memcmp(first, end, body))
        fail("client %u got another body than the first: %.*s", c->index, (int)(body < 80 ? body : 80), end);
    delivered(c->sent_at, time);
    if (phase == RUNNING)
        request(c, time);
    return whole;
}

static size_t take_head(Client *c, const char *data, size_t length)
{
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    end += 4;
    const char *wanted = c->wire == WEBSOCKET ? "101" : "200", *accept = field(data, end, "sec-websocket-accept");
    if (memcmp(data + 9, wanted, 3))
        fail("client %u wanted %s and got: %.*s", c->index, wanted, (int)(length < 300 ? length : 300), data);
    if (c->wire == WEBSOCKET && (!accept || memcmp(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r", 29)))
        fail("client %u got a wrong Sec-WebSocket-Accept", c->index);
    if (c->wire == WEBSOCKET && field(data, end, "sec-websocket-extensions"))
        fail("the server compresses: its figures would not compare");
    if (c->wire == STREAM) {
        const char *type = field(data, end, "content-type");
        if (!type || strncasecmp(type, "text/event-stream", 17))
            fail("client %u got no event stream", c->index);
        c->chunked = field(data, end, "transfer-encoding") != NULL;
    }
    c->ready = 1;
    handshakes--;
    if (c->role == SLOW)
        watch(c);
    return end - data;
}

static void keep(Client *c, const char *data, size_t length)
{
    if (length > c->kept_length || !length) {
        free(c->kept);
        c->kept = length ? malloc(length) : NULL;
    }
    if (length)
        memcpy(c->kept, data, length);
    c->kept_length = length;
}

static void read_from(Client *c)
{
    size_t length = c->kept_length, used = 0;
    if (length)
        memcpy(input, c->kept, length);
    ssize_t got = recv(c->fd, input + length, INPUT / 4, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("client %u was cut off: %s", c->index, got ? strerror(errno) : "the end");
    uint64_t time = now();
    char *data = input;
    if (!c->ready && c->wire != REQUESTS) {
        used = take_head(c, data, length + got);
        if (!c->ready || length + got == used) {
            keep(c, data, c->ready ? 0 : length + got);
            return;
        }
        /* What follows the head is all raw. */
        data += used;
        got += length - used;
        length = 0;
    }
    if (c->wire == STREAM && c->chunked)
        got = unchunk(c, data + length, got);
    length += got;
    used = c->wire == WEBSOCKET ? take_frames(c, data, length, time)
           : c->wire == STREAM  ? take_events(c, data, length, time)
                                : take_answer(c, data, length, time);
    if (used != length || c->kept_length)
        keep(c, data + used, length - used);
}

/* ---- the loop ---- */

static void pump(int timeout)
{
    struct epoll_event events[64];
    int count = epoll_wait(epoll, events, 64, timeout);
    for (int i = 0; i < count; i++) {
        Client *c = events[i].data.ptr;
        if (c->role == SLOW && c->ready && events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            slow_ended = (now() - began) / 1e9;
            close(c->fd);
            continue;
        }
        if (events[i].events & EPOLLOUT)
            send_rest(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            read_from(c);
    }
}

static void keep_time(void)
{
    if (options.rate > 0 && phase == RUNNING) {
        uint64_t time = now();
        uint64_t due = (uint64_t)((time - began) * options.rate / 1e9) + 1;
        if (due > published)
            publish((int)(due - published), time);
    }
    if (!probe)
        return;
    uint64_t time = now();
    if (probe_sent) {
        /* Not when its turn comes among thousands: at once. */
        struct pollfd look = {.fd = probe->fd, .events = POLLIN};
        if (poll(&look, 1, 0) > 0)
            read_from(probe);
    } else if (counting && time >= probe_next) {
        probe_sent = time;
        probe_next = time + 1000000;
        send_bytes(probe, frames[0], frame_size);
    }
}

static void run_for(double seconds)
{
    uint64_t end = now() + (uint64_t)(seconds * 1e9);
    while (now() < end) {
        keep_time();
        pump(options.rate > 0 ? 0 : probe ? 1 : 5);
    }
}

/* Wait until no more than `most` are unanswered. Some servers send the head of a stream with its first event. */
static void await_handshakes(int most, double seconds)
{
    for (uint64_t end = now() + (uint64_t)(seconds * 1e9); handshakes > most && now() < end;)
        pump(10);
    if (handshakes > most && seconds == PATIENCE)
        fail("%d handshakes were not answered", handshakes);
}

static void join_one(Client *c, int wire, int role, uint32_t index, const char *path)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(options.port)}, from = {.sin_family = AF_INET};
    int one = 1, small = 4096;
    c->wire = wire;
    c->role = role;
    c->index = index;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (role == SLOW)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + client_count / PER_ADDRESS);
    if (c->fd < 0 || bind(c->fd, (void *)&from, sizeof from) || connect(c->fd, (void *)&to, sizeof to))
        fail("connection %d: %s", client_count, strerror(errno));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    client_count++;
    if (wire == REQUESTS)
        return;
    char head[2000], with_number[200];
    snprintf(with_number, sizeof with_number, path, index);
    send_bytes(c, head, make_head(head, sizeof head, wire, with_number));
    handshakes++;
    if (wire == WEBSOCKET && role != PUBLISHER) /* which may come after streams that have no head yet */
        await_handshakes(AT_ONCE - 1, PATIENCE);
    else if (client_count % AT_ONCE == 0)
        await_handshakes(0, 0.02);
}

static void join_all(void)
{
    Client *next = clients;
    if (mode == FANOUT || mode == MIXED || mode == SSE) {
        publisher = next++;
        clients = next;
    }
    int wire = mode == SSE || options.streams ? STREAM : mode == HTTP ? REQUESTS : WEBSOCKET;
    for (int i = 0; i < options.clients; i++)
        join_one(next++, wire, mode == IDLE ? BESIDE : RECEIVER, i, wire == STREAM ? options.sse_path : options.path);
    for (int i = 0; mode == MIXED && i < options.clients; i++)
        join_one(next++, STREAM, RECEIVER, options.clients + i, options.sse_path);
    for (int i = 0; i < options.beside; i++)
        join_one(next++, WEBSOCKET, BESIDE, i, options.beside_path);
    if (options.slow)
        join_one(next++, WEBSOCKET, SLOW, 0, options.path);
    if (options.probe)
        join_one(probe = next++, WEBSOCKET, PROBE, 0, options.probe);
    /* Last: a connection without a request is closed by some servers after a few seconds. */
    if (publisher)
        join_one(publisher, mode == SSE ? REQUESTS : WEBSOCKET, PUBLISHER, 0, options.path);
    receivers = mode == MIXED ? 2 * options.clients : options.clients;
    await_handshakes(0, mode == SSE || mode == MIXED || options.streams ? 0.5 : PATIENCE);
    run_for(0.2); /* subscriptions may follow the handshake */
}

static void start(void)
{
    began = now();
    phase = RUNNING;
    if (open_loop)
        return;
    if (publisher)
        publish(publisher->wire == WEBSOCKET ? options.depth : 1, began);
    in_flight += mode == ECHOES ? options.clients * options.depth : 0;
    for (int i = 0; !publisher && i < options.clients; i++)
        if (mode == ECHOES)
            send_messages(&clients[i], options.depth, began);
        else if (mode == CHAT)
            say(&clients[i], began);
        else
            request(&clients[i], began);
}

static void report(double elapsed)
{
    printf("{\"mode\": \"%s\", \"clients\": %d, \"size\": %zu, \"depth\": %d, \"seconds\": %.4f, \"messages\": %lu, "
           "\"rate\": %.1f, \"sent\": %lu, \"late\": %lu, \"errors\": 0",
           NAMES[mode], options.clients, options.size, options.depth, elapsed, (unsigned long)messages,
           messages / elapsed, (unsigned long)sent, (unsigned long)late);
    print_histogram("latency_us", &delivery);
    if (probe)
        print_histogram("probe_us", &waits);
    if (options.slow)
        printf(", \"slow_ended\": %.2f", slow_ended);
    printf("}\n");
}

static void measure(void)
{
    start();
    run_for(options.warmup);
    fputs("measuring\n", stderr);
    uint64_t from = now();
    first_counted = from;
    counting = 1;
    sent = 0;
    run_for(options.seconds);
    double elapsed = (now() - from) / 1e9;
    phase = ENDING;
    uint64_t counted = messages;
    fputs("measured\n", stderr);
    double patience = options.slow ? 2 : PATIENCE;
    for (uint64_t end = now() + patience * 1e9; in_flight && now() < end;)
        pump(20);
    if (in_flight && !options.slow)
        fail("%lu messages never came", (unsigned long)in_flight);
    late = in_flight;
    if (!open_loop)
        messages = counted;
    if (!messages && !late)
        fail("no message came");
    report(elapsed);
}

static void hold(void)
{
    fputs("holding\n", stderr);
    for (char byte;;) {
        struct pollfd look = {.fd = 0, .events = POLLIN};
        if (poll(&look, 1, 0) > 0 && read(0, &byte, 1) <= 0)
            break;
        pump(100);
    }
    printf("{\"mode\": \"idle\", \"clients\": %d, \"errors\": 0}\n", options.clients);
}

static void parse(int count, char **words)
{
    static const struct option names[] = {
        {"port", 1, 0, 'p'}, {"path", 1, 0, 'w'}, {"sse-path", 1, 0, 'e'}, {"clients", 1, 0, 'n'},
        {"size", 1, 0, 'b'}, {"depth", 1, 0, 'd'}, {"seconds", 1, 0, 's'}, {"warmup", 1, 0, 'u'},
        {"rate", 1, 0, 'r'}, {"slow", 0, 0, 'l'}, {"beside", 1, 0, 'i'}, {"beside-path", 1, 0, 'j'},
        {"probe", 1, 0, 'q'}, {"streams", 0, 0, 't'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(count, words, "", names, NULL)) != -1;)
        switch (o) {
        case 'p': options.port = atoi(optarg); break;
        case 'w': options.path = optarg; break;
        case 'e': options.sse_path = optarg; break;
        case 'n': options.clients = atoi(optarg); break;
        case 'b': options.size = strtoul(optarg, NULL, 10); break;
        case 'd': options.depth = atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'u': options.warmup = atof(optarg); break;
        case 'r': options.rate = atof(optarg); break;
        case 'l': options.slow = 1; break;
        case 'i': options.beside = atoi(optarg); break;
        case 'j': options.beside_path = optarg; break;
        case 'q': options.probe = optarg; break;
        case 't': options.streams = 1; break;
        default: exit(2);
        }
    for (enum mode m = 0; optind < count && m < NONE; m++)
        if (!strcmp(words[optind], NAMES[m]))
            mode = m;
    if (mode == NONE || !options.port || options.clients < 1 || options.depth < 1 || options.depth > KINDS ||
        options.size < 1 || options.size > sizeof output - 14) {
        fprintf(stderr, "usage: load echo|fanout|chat|sse|mixed|http|idle --port PORT ...; see load.c\n");
        exit(2);
    }
    if (mode != FANOUT && (options.rate > 0 || options.slow)) {
        fprintf(stderr, "--rate and --slow are for fanout\n");
        exit(2);
    }
    open_loop = options.rate > 0;
}

int main(int count, char **words)
{
    struct rlimit files;
    parse(count, words);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setvbuf(stderr, NULL, _IOLBF, 0);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    clients = calloc(2 * (size_t)options.clients + options.beside + 3, sizeof *clients);
    heard = calloc(mode == CHAT ? (size_t)options.clients * options.clients : 1, sizeof *heard);
    make_messages();
    join_all();
    if (mode == IDLE)
        hold();
    else
        measure();
    return 0;
}
