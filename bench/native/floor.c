/*
 * The floor: what the machine asks for the same datagrams when nothing is decided about them. A relay of CoAP that knows no path,
 * no session and no congestion: a GET makes its sender a subscriber of the topic that the last two bytes of its token name, the
 * body of a POST with such a token goes to them all.
 *
 *     floor sendto | sendmmsg | gso        what has been read in one turn leaves by one call a datagram, a batch, a train per endpoint
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define TOKEN_BYTES 4
#define HEAD_BYTES (4 + TOKEN_BYTES)
/* Observe with three bytes, an empty Content-Format, the payload marker. */
#define OPTIONS_BYTES 6
#define DATAGRAM_BYTES 1400
#define MOST_TOPICS 1024
#define MOST_ENDPOINTS 4096
#define TURN 64
#define MOST_SEGMENTS 64
#define BATCH 1024
#define BUFFER_BYTES (4 * 1024 * 1024)

struct endpoint {
  struct sockaddr_in address;
  uint16_t id;
  uint8_t train[MOST_SEGMENTS * DATAGRAM_BYTES];
  size_t train_bytes, segment_bytes;
  int segments;
};
struct subscriber {
  struct endpoint *endpoint;
  uint8_t token[TOKEN_BYTES];
};
struct topic {
  struct subscriber *subscribers;
  int count;
  uint32_t sequence;
};

static struct endpoint *endpoints[MOST_ENDPOINTS], *touched[MOST_ENDPOINTS];
static int endpoint_count, touched_count, batched;
static struct topic topics[MOST_TOPICS];
static uint8_t copies[BATCH][DATAGRAM_BYTES];
static struct iovec places[BATCH];
static struct mmsghdr batch[BATCH];
static int fd;
static enum { SENDTO, SENDMMSG, GSO } way;

static _Noreturn void give_up(const char *why) {
  fprintf(stderr, "floor: %s: %s\n", why, strerror(errno));
  exit(1);
}

static struct endpoint *endpoint_of(const struct sockaddr_in *address) {
  for (int i = 0; i < endpoint_count; i++)
    if (endpoints[i]->address.sin_port == address->sin_port) return endpoints[i];
  if (endpoint_count == MOST_ENDPOINTS) give_up("too many endpoints");
  struct endpoint *endpoint = endpoints[endpoint_count++] = calloc(1, sizeof *endpoint);
  if (!endpoint) give_up("calloc");
  endpoint->address = *address;
  return endpoint;
}

static void flush_batch(void) {
  for (int sent = 0; sent < batched;) {
    int taken = sendmmsg(fd, batch + sent, batched - sent, 0);
    if (taken < 0) give_up("sendmmsg");
    sent += taken;
  }
  batched = 0;
}

static void flush_train(struct endpoint *to) {
  char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
  struct iovec place = {to->train, to->train_bytes};
  struct msghdr head = {.msg_name = &to->address, .msg_namelen = sizeof to->address, .msg_iov = &place, .msg_iovlen = 1};
  if (to->segments > 1) {
    head.msg_control = control;
    head.msg_controllen = sizeof control;
    struct cmsghdr *segment = CMSG_FIRSTHDR(&head);
    segment->cmsg_level = IPPROTO_UDP;
    segment->cmsg_type = UDP_SEGMENT;
    segment->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    *(uint16_t *)CMSG_DATA(segment) = to->segment_bytes;
  }
  if (sendmsg(fd, &head, 0) < 0) give_up("sendmsg");
  to->segments = 0;
  to->train_bytes = 0;
}

static size_t compose(uint8_t *datagram, const struct subscriber *to, uint32_t sequence, const uint8_t *body, size_t count) {
  uint16_t id = to->endpoint->id++;
  const uint8_t head[] = {0x54, 0x45, id >> 8, id};
  const uint8_t options[] = {0x63, sequence >> 16, sequence >> 8, sequence, 0x60, 0xff};
  memcpy(datagram, head, sizeof head);
  memcpy(datagram + sizeof head, to->token, TOKEN_BYTES);
  memcpy(datagram + HEAD_BYTES, options, sizeof options);
  memcpy(datagram + HEAD_BYTES + OPTIONS_BYTES, body, count);
  return HEAD_BYTES + OPTIONS_BYTES + count;
}

static void notify(const struct subscriber *to, uint32_t sequence, const uint8_t *body, size_t count) {
  struct endpoint *endpoint = to->endpoint;
  if (way == GSO) {
    size_t whole = HEAD_BYTES + OPTIONS_BYTES + count;
    if (endpoint->segments == MOST_SEGMENTS || (endpoint->segments > 0 && whole != endpoint->segment_bytes))
      flush_train(endpoint);
    if (endpoint->segments++ == 0) touched[touched_count++] = endpoint;
    endpoint->segment_bytes = whole;
    endpoint->train_bytes += compose(endpoint->train + endpoint->train_bytes, to, sequence, body, count);
    return;
  }
  uint8_t *datagram = copies[batched];
  size_t whole = compose(datagram, to, sequence, body, count);
  if (way == SENDTO) {
    if (sendto(fd, datagram, whole, 0, (struct sockaddr *)&endpoint->address, sizeof endpoint->address) < 0) give_up("sendto");
    return;
  }
  places[batched] = (struct iovec){datagram, whole};
  batch[batched].msg_hdr =
      (struct msghdr){.msg_name = &endpoint->address, .msg_namelen = sizeof endpoint->address, .msg_iov = &places[batched], .msg_iovlen = 1};
  if (++batched == BATCH) flush_batch();
}

static void take(const uint8_t *datagram, size_t count, const struct sockaddr_in *from) {
  if (count < HEAD_BYTES || (datagram[0] & 0x0f) != TOKEN_BYTES) return;
  struct topic *topic = &topics[(datagram[6] << 8 | datagram[7]) % MOST_TOPICS];
  if (datagram[1] == 1) {
    topic->subscribers = realloc(topic->subscribers, (topic->count + 1) * sizeof *topic->subscribers);
    if (!topic->subscribers) give_up("realloc");
    struct subscriber *subscriber = &topic->subscribers[topic->count++];
    subscriber->endpoint = endpoint_of(from);
    memcpy(subscriber->token, datagram + 4, TOKEN_BYTES);
    notify(subscriber, topic->sequence, datagram, 0);
    return;
  }
  const uint8_t *marker = datagram[1] == 2 ? memchr(datagram + HEAD_BYTES, 0xff, count - HEAD_BYTES) : NULL;
  if (!marker) return;
  topic->sequence++;
  for (int i = 0; i < topic->count; i++)
    notify(&topic->subscribers[i], topic->sequence, marker + 1, datagram + count - marker - 1);
}

int main(int count, char **words) {
  static uint8_t bytes[TURN][DATAGRAM_BYTES];
  static struct sockaddr_in from[TURN];
  static struct iovec arrivals[TURN];
  static struct mmsghdr heads[TURN];
  if (count != 2) return 2;
  way = strcmp(words[1], "gso") == 0 ? GSO : strcmp(words[1], "sendmmsg") == 0 ? SENDMMSG : SENDTO;
  fd = socket(AF_INET, SOCK_DGRAM, 0);
  int size = BUFFER_BYTES;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof at;
  if (bind(fd, (struct sockaddr *)&at, length) < 0 || getsockname(fd, (struct sockaddr *)&at, &length) < 0) give_up("bind");
  printf("port %d\n", ntohs(at.sin_port));
  fflush(stdout);
  for (;;) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, -1) < 0) give_up("poll");
    for (int i = 0; i < TURN; i++) {
      arrivals[i] = (struct iovec){bytes[i], DATAGRAM_BYTES};
      heads[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &arrivals[i], .msg_iovlen = 1};
    }
    int got = recvmmsg(fd, heads, TURN, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) take(bytes[i], heads[i].msg_len, &from[i]);
    if (way == SENDMMSG) flush_batch();
    for (int i = 0; i < touched_count; i++)
      if (touched[i]->segments > 0) flush_train(touched[i]);
    touched_count = 0;
  }
}
