/* What the kernel allows: the same endpoints with nothing around them, in one thread, by epoll (Linux).
 *
 *     cc -O2 -o limit limit.c && ./limit PORT
 *
 * It trusts its clients: whole heads and whole frames in one read, the key of RFC 6455's example, no time-outs.
 * That makes it no server; it is the line that no server can pass. WebSocket /ws/echo, /ws/room, /ws/chat; event
 * streams by GET /sse, POST /sse publishes to them; GET /json.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 70000

enum state { NEW, ECHOES, ROOM, CHAT, STREAM };

static unsigned char state[MOST], in[1 << 20], out[4 << 20], said[4 << 20];
static size_t said_length; /* in the chat, in this round of events: everybody hears all of it */
static int members[MOST], listeners[MOST], place[MOST], member_count, listener_count;

static void put(int fd, const void *data, size_t size)
{
    for (const char *p = data; size;) {
        ssize_t taken = send(fd, p, size, MSG_NOSIGNAL);
        if (taken <= 0) {
            /* Full: what it cannot take it shall not get. */
            return;
        }
        p += taken;
        size -= taken;
    }
}

static void add(int *list, int *count, int fd)
{
    place[fd] = *count;
    list[(*count)++] = fd;
}

static void drop(int *list, int *count, int fd)
{
    int last = list[--*count];
    list[place[last] = place[fd]] = last;
}

static size_t frame(unsigned char *to, size_t size)
{
    to[0] = 0x81;
    if (size < 126) {
        to[1] = size;
        return 2;
    }
    to[1] = 126;
    to[2] = size >> 8;
    to[3] = size;
    return 4;
}

/* Turn masked frames into unmasked ones; those of the chat get their envelope. Answers their length. */
static size_t turn(int fd, const unsigned char *p, const unsigned char *end)
{
    size_t length = 0;
    while (p < end) {
        int opcode = p[0] & 15, head = 2;
        size_t size = p[1] & 127;
        if (size == 126) {
            size = p[2] << 8 | p[3];
            head = 4;
        }
        const unsigned char *mask = p + head, *data = mask + 4;
        p = data + size;
        if (opcode != 1)
            continue;
        char before[80] = "";
        int extra = 0;
        if (state[fd] == CHAT)
            extra = sprintf(before, "{\"user\":\"00000000-0000-4000-8000-%012d\",\"message\":\"", fd);
        length += frame(out + length, size + extra + (extra ? 2 : 0));
        memcpy(out + length, before, extra);
        length += extra;
        for (size_t i = 0; i < size; i++)
            out[length + i] = data[i] ^ mask[i & 3];
        length += size;
        if (extra) {
            memcpy(out + length, "\"}", 2);
            length += 2;
        }
    }
    return length;
}

static void answer(int fd, char *head, size_t length)
{
    static const char UPGRADE[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    static const char STREAMS[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    static const char JSON[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
                               "{\"message\":\"Hello, world!\"}";
    static const char DONE[] = "HTTP/1.1 204 No Content\r\n\r\n";
    head[length] = 0;
    if (!memcmp(head, "GET /ws/", 8)) {
        state[fd] = head[8] == 'r' ? ROOM : head[8] == 'c' ? CHAT : ECHOES;
        if (state[fd] != ECHOES)
            add(members, &member_count, fd);
        put(fd, UPGRADE, sizeof UPGRADE - 1);
    } else if (!memcmp(head, "GET /sse", 8)) {
        state[fd] = STREAM;
        add(listeners, &listener_count, fd);
        put(fd, STREAMS, sizeof STREAMS - 1);
    } else if (!memcmp(head, "POST", 4)) {
        char *body = strstr(head, "\r\n\r\n") + 4;
        size_t size = sprintf((char *)out, "data: %s\n\n", body);
        for (int i = 0; i < listener_count; i++)
            put(listeners[i], out, size);
        put(fd, DONE, sizeof DONE - 1);
    } else {
        put(fd, JSON, sizeof JSON - 1);
    }
}

static void receive(int fd)
{
    ssize_t length = recv(fd, in, sizeof in - 1, 0);
    if (length <= 0) {
        if (state[fd] == STREAM)
            drop(listeners, &listener_count, fd);
        else if (state[fd] > ECHOES)
            drop(members, &member_count, fd);
        state[fd] = NEW;
        close(fd);
        return;
    }
    if (state[fd] == NEW || state[fd] == STREAM) {
        answer(fd, (char *)in, length);
        return;
    }
    size_t size = turn(fd, in, in + length);
    if (state[fd] == CHAT) {
        memcpy(said + said_length, out, size);
        said_length += size;
    } else if (state[fd] == ECHOES) {
        put(fd, out, size);
    } else {
        for (int i = 0; i < member_count; i++)
            if (members[i] != fd)
                put(members[i], out, size);
    }
}

int main(int count, char **words)
{
    static struct epoll_event events[1024];
    int listening = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening};
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    address.sin_port = htons(count > 1 ? atoi(words[1]) : 0);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (void *)&address, sizeof address) || listen(listening, 4096)) {
        perror("limit");
        return 1;
    }
    epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int ready = epoll_wait(epoll, events, 1024, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listening) {
                receive(events[i].data.fd);
                continue;
            }
            int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0 || fd >= MOST)
                continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        }
        for (int i = 0; said_length && i < member_count; i++)
            put(members[i], said, said_length);
        said_length = 0;
    }
}
