/*
 * What arrives, read with as little work as can be. A body tells in text when it left, `at=` and sixteen digits of
 * microseconds, so that it is recognised in any framing. A synchrophasor has no such text: its SenML pack has the time tag,
 * and when the frame of that tag left is known here.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MARK "at="
#define MARK_BYTES 3
#define STAMP_BYTES (MARK_BYTES + 16)
#define BATCH 64
#define DATAGRAM_BYTES 2048

struct tally tally;
int64_t run_began_us = INT64_MAX, run_ends_us = INT64_MAX;
int waiting_connections;
struct relation *relations;
uint32_t relation_count;
int64_t (*departures)[SLOTS];
uint32_t pmu_count;
uint32_t slots_per_second;

int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

_Noreturn void give_up(const char *why) {
  fprintf(stderr, "pump: %s: %s\n", why, strerror(errno));
  exit(1);
}

static void aged(int64_t left_us, int64_t at_us) {
  if (left_us < run_began_us) return;
  int64_t age_us = at_us - left_us;
  tally.received++;
  if (at_us < run_ends_us) tally.in_time++;
  tally.ages[age_us < 0 ? 0 : age_us < AGES ? age_us : AGES - 1]++;
}

static void stamped(const uint8_t *mark, int64_t at_us) {
  int64_t left_us = 0;
  for (int i = MARK_BYTES; i < STAMP_BYTES; i++) left_us = left_us * 10 + (mark[i] - '0');
  aged(left_us, at_us);
}

/** All stamps; returns how many bytes are done with: what may be the beginning of one is not. */
static size_t read_stream(const uint8_t *bytes, size_t count, int64_t at_us) {
  size_t done = 0;
  for (;;) {
    const uint8_t *mark = memmem(bytes + done, count - done, MARK, MARK_BYTES);
    if (!mark) return count - done < MARK_BYTES ? done : count - (MARK_BYTES - 1);
    done = mark - bytes;
    if (count - done < STAMP_BYTES) return done;
    stamped(mark, at_us);
    done += STAMP_BYTES;
  }
}

static size_t read_frames(struct connection *to, const uint8_t *bytes, size_t count, int64_t at_us) {
  static const uint8_t PONG[] = {0x8a, 0x80, 0, 0, 0, 0};
  size_t done = 0;
  for (;;) {
    const uint8_t *frame = bytes + done;
    size_t left = count - done, head = 2, length;
    if (left < head) return done;
    length = frame[1] & 0x7f;
    if (length == 126) {
      head = 4;
      if (left < head) return done;
      length = frame[2] << 8 | frame[3];
    } else if (length == 127) {
      errno = EMSGSIZE;
      give_up("a WebSocket frame over 64 KiB");
    }
    if (left < head + length) return done;
    uint8_t opcode = frame[0] & 0x0f;
    if (opcode == 9) send_all(to, PONG, sizeof PONG);
    else if (opcode == 8) {
      errno = ECONNRESET;
      give_up("the WebSocket was closed");
    } else read_stream(frame + head, length, at_us);
    done += head + length;
  }
}

static size_t read_answers(struct connection *to, const uint8_t *bytes, size_t count, int64_t at_us) {
  size_t done = 0;
  for (;;) {
    const uint8_t *answer = bytes + done, *end = memmem(answer, count - done, "\r\n\r\n", 4);
    if (!end) return done;
    const uint8_t *named = memmem(answer, end - answer, "ontent-", 7);
    size_t length = 0;
    while (named) {
      if (strncasecmp((const char *)named + 7, "length:", 7) == 0) length = strtoul((const char *)named + 14, NULL, 10);
      named = memmem(named + 7, end - named - 7, "ontent-", 7);
    }
    size_t whole = (end + 4 - answer) + length;
    if (count - done < whole) return done;
    read_stream(end + 4, length, at_us);
    send_all(to, to->request, to->request_bytes);
    done += whole;
  }
}

/** Enters a notification in its relation's account; false for one that was there before: a confirmable, sent again. */
static bool number(struct relation *relation, uint32_t sequence) {
  int32_t ahead = (int32_t)((sequence - relation->last) << 8) >> 8, steps = ahead / (int32_t)relation->step;
  /* Of a source that has lost frames the next one of a slower cadence is fewer numbers on. */
  if (ahead > 0 && steps == 0) steps = 1;
  if (!relation->has_last || steps > 0) {
    if (relation->has_last) tally.skipped += steps - 1;
    relation->seen = relation->has_last && steps < 64 ? relation->seen << steps | 1 : 1;
    relation->last = sequence;
    relation->has_last = true;
    return true;
  }
  uint64_t place = steps > -64 ? 1ULL << -steps : 0;
  if (relation->seen & place) {
    tally.again++;
    return false;
  }
  relation->seen |= place;
  tally.out_of_order++;
  /* It was taken for skipped when the later one came. */
  tally.skipped--;
  return true;
}

static uint64_t big_endian(const uint8_t *bytes, int count) {
  uint64_t bits = 0;
  for (int i = 0; i < count; i++) bits = bits << 8 | bytes[i];
  return bits;
}

/** SenML's base time, label -3: a float64, or a float32 where that holds it, which is so every 128 seconds. Negative: there is none. */
static double base_time(const uint8_t *pack, size_t count) {
  const uint8_t *wide = memmem(pack, count, "\x22\xfb", 2);
  if (wide && wide + 10 <= pack + count) {
    uint64_t bits = big_endian(wide + 2, 8);
    double seconds;
    memcpy(&seconds, &bits, sizeof seconds);
    return seconds;
  }
  const uint8_t *narrow = memmem(pack, count, "\x22\xfa", 2);
  if (!narrow || narrow + 6 > pack + count) return -1;
  uint32_t bits = (uint32_t)big_endian(narrow + 2, 4);
  float seconds;
  memcpy(&seconds, &bits, sizeof seconds);
  return seconds;
}

/** How many bytes of a message's options and payload are options, the payload's marker included [RFC7252-3.1]; all where there is no payload. */
static size_t option_bytes(const uint8_t *options, size_t count) {
  size_t at = 0;
  while (at < count && options[at] != 0xff) {
    uint8_t nibbles[] = {options[at] >> 4, options[at] & 0x0f};
    size_t length = nibbles[1];
    at++;
    for (int i = 0; i < 2 && at < count; i++) {
      if (nibbles[i] < 13) continue;
      if (i == 1) length = nibbles[1] == 13 ? (size_t)13 + options[at] : 269 + big_endian(options + at, 2);
      at += nibbles[i] == 13 ? 1 : 2;
    }
    at += length;
  }
  return at < count ? at + 1 : count;
}

/** One notification of a synchrophasor: which it is of its relation, and how old. */
static void read_measurement(const uint8_t *datagram, size_t count, int64_t at_us) {
  if (count < 10 || (datagram[0] & 0x0f) != 4) return;
  uint32_t token = (uint32_t)datagram[4] << 24 | datagram[5] << 16 | datagram[6] << 8 | datagram[7];
  if (token >= relation_count || datagram[8] >> 4 != 6) return;
  uint32_t length = datagram[8] & 0x0f, sequence = 0;
  for (uint32_t i = 0; i < length && i < 3; i++) sequence = sequence << 8 | datagram[9 + i];
  /* An Observe value may look like a time. */
  size_t head = 8 + option_bytes(datagram + 8, count - 8);
  double seconds = base_time(datagram + head, count - head);
  if (seconds < 0) return;
  struct relation *relation = &relations[token];
  int64_t left_us = departures[relation->pmu][llround(seconds * slots_per_second) % SLOTS];
  if (left_us < run_began_us) {
    relation->has_last = false;
    return;
  }
  if (!number(relation, sequence)) return;
  aged(left_us, at_us);
}

static void read_datagram(struct connection *from, const uint8_t *datagram, size_t count, int64_t at_us) {
  if (from->reader != COAP || count < 4) return;
  if ((datagram[0] & 0x30) == 0) {
    const uint8_t acknowledgement[] = {0x60, 0, datagram[2], datagram[3]};
    send(from->fd, acknowledgement, sizeof acknowledgement, 0);
  }
  if (relation_count > 0) {
    read_measurement(datagram, count, at_us);
    return;
  }
  const uint8_t *mark = memmem(datagram, count, MARK, MARK_BYTES);
  if (mark && mark + STAMP_BYTES <= datagram + count) stamped(mark, at_us);
}

static void serve_udp(struct connection *connection) {
  static uint8_t bytes[BATCH][DATAGRAM_BYTES];
  static struct iovec places[BATCH];
  static struct mmsghdr heads[BATCH];
  for (int i = 0; i < BATCH; i++) {
    places[i] = (struct iovec){bytes[i], DATAGRAM_BYTES};
    heads[i].msg_hdr.msg_iov = &places[i];
    heads[i].msg_hdr.msg_iovlen = 1;
  }
  for (;;) {
    int got = recvmmsg(connection->fd, heads, BATCH, MSG_DONTWAIT, NULL);
    if (got < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      give_up("recvmmsg");
    }
    int64_t at_us = now_us();
    for (int i = 0; i < got; i++) read_datagram(connection, bytes[i], heads[i].msg_len, at_us);
    if (got < BATCH) return;
  }
}

void serve(struct connection *connection) {
  static uint8_t bytes[512 * 1024];
  if (connection->is_udp) {
    serve_udp(connection);
    return;
  }
  memcpy(bytes, connection->carry, connection->carried);
  ssize_t got = recv(connection->fd, bytes + connection->carried, sizeof bytes - connection->carried, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) give_up("a connection was closed");
  int64_t at_us = now_us();
  size_t count = connection->carried + got, done = count;
  if (connection->reader == STREAM) done = read_stream(bytes, count, at_us);
  else if (connection->reader == WEBSOCKET) done = read_frames(connection, bytes, count, at_us);
  else if (connection->reader == POLL) done = read_answers(connection, bytes, count, at_us);
  connection->carried = count - done;
  if (connection->carried > sizeof connection->carry) {
    errno = EMSGSIZE;
    give_up("a message");
  }
  memcpy(connection->carry, bytes + done, connection->carried);
}

/** What the kernel does not take now waits, and goes before anything else. */
void send_all(struct connection *to, const uint8_t *bytes, size_t count) {
  if (to->is_udp) {
    if (count > 0 && send(to->fd, bytes, count, 0) < 0 && errno != EAGAIN && errno != ECONNREFUSED) give_up("send");
    return;
  }
  if (to->pending_bytes > 0) {
    ssize_t sent = send(to->fd, to->pending, to->pending_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) give_up("send");
    if (sent > 0) memmove(to->pending, to->pending + sent, to->pending_bytes -= sent);
    if (to->pending_bytes == 0) waiting_connections--;
  }
  ssize_t sent = 0;
  if (to->pending_bytes == 0 && count > 0) {
    sent = send(to->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) give_up("send");
    if (sent < 0) sent = 0;
  }
  if ((size_t)sent == count) return;
  if (to->pending_bytes == 0) waiting_connections++;
  to->pending = realloc(to->pending, to->pending_bytes + count - sent);
  if (!to->pending) give_up("realloc");
  memcpy(to->pending + to->pending_bytes, bytes + sent, count - sent);
  to->pending_bytes += count - sent;
}
