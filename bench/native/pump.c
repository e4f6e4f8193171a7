/*
 * The load generator: publishers and subscribers of all peers in one process apart from the brokers', so that one clock dates
 * both ends and the work per message is the same for all. What is sent is composed by who starts it; here bytes are patched and
 * counted. Orders are lines on the standard input, in the order of their work:
 *
 *     socket tcp|udp HOST PORT                       connects the next connection, numbered from 0
 *     ask N TRIES HEX-PATTERN TIMES HEX              sends, and waits until the pattern has come so often
 *     say N HEX                                      sends
 *     read N stream|websocket|coap                   what comes on it is measured from now on
 *     poll N HEX                                     the same, and this is sent now and after each answer
 *     topic N STAMP-OFFSET ID-OFFSET HEX             a message to publish; -1: it has no stamp, no message id
 *     frame N HEX                                    a C37.118 data frame to publish; TIME_BASE 1,000,000
 *     relation PMU STEP                              the next observe relation: its token is its number
 *     sync                                           answered "ok" when all before is done
 *     run even|burst|spread|saturate SECONDS RATE FAN-OUT WINDOW BATCH FIRST COUNT LAPS     answered with a line of JSON a lap
 *
 * even: topics take turns within the period. burst: all at once. spread: by the wall clock's slots, each topic at its own place
 * in the first SPREAD_US of the period. saturate: WINDOW messages are under way, BATCH of a topic are sent at once; what has not
 * come after STALL_MS is written off. Laps of SECONDS each follow each other without a pause; what is under way at the end of one
 * counts in the next.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_CONNECTIONS 32768
#define MOST_TOPICS 4096
#define MOST_BATCH 64
#define LINE_BYTES (256 * 1024)
#define BUFFER_BYTES (16 * 1024 * 1024)
#define ANSWER_MS 300
#define STALL_MS 50
/** What is under way when the last message has gone is over when nothing has come for so long. */
#define SETTLE_US 300000
#define MOST_SETTLE_US 10000000
#define SPREAD_US 27000

struct topic {
  struct connection *connection;
  int stamp_at, id_at;
  uint16_t id;
  bool is_frame;
  uint8_t *bytes;
  size_t count;
};

static struct connection *connections[MOST_CONNECTIONS];
static int connection_count;
static struct topic topics[MOST_TOPICS];
static int topic_count;
static int events;
static uint16_t crc_table[256];

static uint8_t *bytes_of(const char *hex, size_t *count) {
  *count = strlen(hex) / 2;
  uint8_t *bytes = malloc(*count + 1);
  if (!bytes) give_up("malloc");
  for (size_t i = 0; i < *count; i++) {
    unsigned value;
    if (sscanf(hex + 2 * i, "%2x", &value) != 1) give_up("not hexadecimal");
    bytes[i] = value;
  }
  return bytes;
}

static struct connection *at(int number) {
  if (number >= 0 && number < connection_count) return connections[number];
  errno = EINVAL;
  give_up("no such connection");
}

static void open_socket(const char *kind, const char *host, int port) {
  if (connection_count == MOST_CONNECTIONS) give_up("too many connections");
  struct connection *connection = calloc(1, sizeof *connection);
  if (!connection) give_up("calloc");
  connection->is_udp = strcmp(kind, "udp") == 0;
  connection->fd = socket(AF_INET, connection->is_udp ? SOCK_DGRAM : SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(host)};
  int size = BUFFER_BYTES, yes = 1;
  if (connection->is_udp) {
    /* Beyond net.core.rmem_max where that is permitted. */
    if (setsockopt(connection->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
      setsockopt(connection->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  } else {
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  }
  if (connect(connection->fd, (struct sockaddr *)&to, sizeof to) < 0) give_up("connect");
  fcntl(connection->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  if (epoll_ctl(events, EPOLL_CTL_ADD, connection->fd, &event) < 0) give_up("epoll_ctl");
  connections[connection_count++] = connection;
}

/** How often the pattern stands in what has come; what follows the last place begins the next search. */
static int occurrences(uint8_t *bytes, size_t *count, const uint8_t *pattern, size_t length) {
  int times = 0;
  size_t done = 0;
  for (uint8_t *found; (found = memmem(bytes + done, *count - done, pattern, length)); times++) done = found - bytes + length;
  memmove(bytes, bytes + done, *count -= done);
  return times;
}

static void ask(struct connection *to, int tries, const char *pattern_hex, int times, const char *hex) {
  static uint8_t came[1024 * 1024];
  size_t count, length, held = 0;
  uint8_t *question = bytes_of(hex, &count), *pattern = bytes_of(pattern_hex, &length);
  for (int left = times; left > 0 && tries > 0; tries--) {
    send_all(to, question, count);
    struct pollfd ready = {.fd = to->fd, .events = POLLIN};
    int64_t until_us = now_us() + ANSWER_MS * 1000;
    while (left > 0 && now_us() < until_us) {
      send_all(to, NULL, 0);
      if (poll(&ready, 1, ANSWER_MS) <= 0) break;
      ssize_t got = recv(to->fd, came + held, sizeof came - held, MSG_DONTWAIT);
      if (got == 0 && !to->is_udp) give_up("closed while it was asked");
      if (got <= 0) continue;
      if (to->is_udp && got >= 4 && (came[held] & 0x30) == 0) {
        const uint8_t acknowledgement[] = {0x60, 0, came[held + 2], came[held + 3]};
        send_all(to, acknowledgement, sizeof acknowledgement);
      }
      held += got;
      left -= occurrences(came, &held, pattern, length);
      if (held == sizeof came) held = 0;
    }
    times = left;
    /* A stream loses nothing: it is only waited on. */
    if (!to->is_udp) count = 0;
  }
  if (times > 0) {
    errno = ETIMEDOUT;
    give_up("no answer");
  }
  free(question);
  free(pattern);
}

static struct topic *add_topic(int number, const char *hex) {
  if (topic_count == MOST_TOPICS) give_up("too many topics");
  struct topic *topic = &topics[topic_count];
  *topic = (struct topic){.connection = at(number), .stamp_at = -1, .id_at = -1, .id = topic_count};
  topic->bytes = bytes_of(hex, &topic->count);
  topic_count++;
  return topic;
}

static void add_relation(uint32_t pmu, uint32_t step) {
  relations = realloc(relations, (relation_count + 1) * sizeof *relations);
  if (pmu >= pmu_count) {
    departures = realloc(departures, (pmu + 1) * sizeof *departures);
    if (departures) memset(departures + pmu_count, 0, (pmu + 1 - pmu_count) * sizeof *departures);
    pmu_count = pmu + 1;
  }
  if (!relations || !departures) give_up("realloc");
  relations[relation_count++] = (struct relation){.pmu = pmu, .step = step};
}

static void patch_stamp(struct topic *topic, int64_t left_us) {
  if (topic->stamp_at >= 0)
    for (int i = 15; i >= 0; i--, left_us /= 10) topic->bytes[topic->stamp_at + i] = '0' + left_us % 10;
  if (topic->id_at >= 0) {
    topic->id++;
    topic->bytes[topic->id_at] = topic->id >> 8;
    topic->bytes[topic->id_at + 1] = topic->id;
  }
}

static void put32(uint8_t *to, uint32_t value) {
  for (int i = 0; i < 4; i++) to[i] = value >> (24 - 8 * i);
}

/** SOC, FRACSEC and CHK of a data frame [C37.118.2 6.2]. */
static void patch_frame(struct topic *topic, int64_t slot, uint32_t pmu) {
  put32(topic->bytes + 6, slot / slots_per_second);
  put32(topic->bytes + 10, (slot % slots_per_second * 1000000 + slots_per_second / 2) / slots_per_second);
  uint16_t crc = 0xffff;
  size_t end = topic->count - 2;
  for (size_t i = 0; i < end; i++) crc = crc << 8 ^ crc_table[(crc >> 8 ^ topic->bytes[i]) & 0xff];
  topic->bytes[end] = crc >> 8;
  topic->bytes[end + 1] = crc;
  if (pmu < pmu_count) departures[pmu][slot % SLOTS] = now_us();
}

/** Sends a topic so many times over; returns how many the kernel has taken. */
static int publish(struct topic *topic, int times) {
  static uint8_t copies[MOST_BATCH * 2048];
  struct iovec places[MOST_BATCH];
  struct mmsghdr heads[MOST_BATCH] = {0};
  size_t filled = 0;
  for (int i = 0; i < times; i++, filled += topic->count) {
    patch_stamp(topic, now_us());
    memcpy(copies + filled, topic->bytes, topic->count);
    places[i] = (struct iovec){copies + filled, topic->count};
    heads[i].msg_hdr.msg_iov = &places[i];
    heads[i].msg_hdr.msg_iovlen = 1;
  }
  if (!topic->connection->is_udp) {
    send_all(topic->connection, copies, filled);
    return times;
  }
  int sent = sendmmsg(topic->connection->fd, heads, times, MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != ECONNREFUSED) give_up("sendmmsg");
  return sent < 0 ? 0 : sent;
}

/** Serves what is ready; waits at most so long for it, without end below 0. */
static int attend(int64_t wait_us) {
  struct epoll_event ready[256];
  struct timespec wait = {wait_us / 1000000, wait_us % 1000000 * 1000};
  int count = epoll_pwait2(events, ready, 256, wait_us < 0 ? NULL : &wait, NULL);
  if (count < 0 && errno != EINTR) give_up("epoll_pwait2");
  int served = 0;
  for (int i = 0; i < count; i++) {
    if (ready[i].data.ptr == NULL) continue;
    serve(ready[i].data.ptr);
    served++;
  }
  for (int i = 0; waiting_connections > 0 && i < connection_count; i++)
    if (connections[i]->pending_bytes > 0) send_all(connections[i], NULL, 0);
  return served;
}

struct load {
  char shape[16];
  double seconds, rate;
  int fan_out, window, batch, first, count, laps;
};

static struct { uint64_t sent, refused, written_off; } paced;
static int64_t first_slot;

static bool is_of(const struct load *load, const char *shape) { return strcmp(load->shape, shape) == 0; }

static void begin_paced(const struct load *load) {
  double period_us = 1e6 / load->rate;
  first_slot = 0;
  run_began_us = now_us();
  if (is_of(load, "spread")) {
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    double wall_us = wall.tv_sec * 1e6 + wall.tv_nsec / 1e3;
    slots_per_second = load->rate;
    first_slot = (int64_t)(wall_us / period_us) + 2;
    run_began_us += first_slot * period_us - wall_us;
  }
  run_ends_us = run_began_us + load->laps * load->seconds * 1e6;
}

static void run_paced(const struct load *load, int lap) {
  bool is_even = is_of(load, "even"), is_spread = is_of(load, "spread");
  double period_us = 1e6 / load->rate;
  uint64_t messages = (uint64_t)(load->seconds * load->rate + 0.5) * load->count;
  for (uint64_t n = lap * messages, end = n + messages; n < end;) {
    uint64_t slot = n / load->count, place = n % load->count;
    double within_us = is_even ? place * period_us / load->count : is_spread ? place * (double)SPREAD_US / load->count : 0;
    int64_t due_us = run_began_us + slot * period_us + within_us;
    int64_t early_us = due_us - now_us();
    if (early_us > 0) {
      attend(early_us);
      continue;
    }
    struct topic *topic = &topics[load->first + place];
    if (topic->is_frame) patch_frame(topic, first_slot + slot, load->first + place);
    int taken = publish(topic, 1);
    paced.sent += taken;
    paced.refused += 1 - taken;
    n++;
    /* A late burst must not keep what has come waiting. */
    if (n % 64 == 0) attend(0);
  }
}

static void run_saturated(const struct load *load) {
  run_began_us = now_us();
  run_ends_us = run_began_us + load->seconds * 1e6;
  int next = 0;
  while (now_us() < run_ends_us) {
    uint64_t expected = paced.sent * load->fan_out, settled = tally.received + paced.written_off;
    bool has_room = expected < settled + (uint64_t)load->window * load->fan_out;
    struct topic *topic = &topics[load->first + next];
    if (has_room && topic->connection->pending_bytes == 0) {
      int taken = publish(topic, load->batch);
      paced.sent += taken;
      paced.refused += load->batch - taken;
      next = (next + 1) % load->count;
      attend(0);
    } else if (attend(STALL_MS * 1000) == 0 && expected > settled) {
      paced.written_off = expected - tally.received;
    }
  }
}

static double cpu_us(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

/** Nearest rank. */
static uint32_t percentile(double share) {
  uint64_t rank = tally.received * share, below = 0;
  for (uint32_t age = 0; age < AGES; age++) {
    below += tally.ages[age];
    if (below > rank) return age;
  }
  return 0;
}

/** Until nothing more comes: a broker that is behind is waited for. */
static void settle(uint64_t expected) {
  int64_t ended_us = now_us(), quiet_us = ended_us;
  for (uint64_t before = 0; tally.received < expected && now_us() < quiet_us + SETTLE_US && now_us() < ended_us + MOST_SETTLE_US;) {
    attend(SETTLE_US);
    if (tally.received > before) quiet_us = now_us();
    before = tally.received;
  }
}

static void report(double cpu_us, int64_t elapsed_us) {
  uint32_t longest = AGES - 1;
  while (longest > 0 && tally.ages[longest] == 0) longest--;
  printf("{\"published\":%lu,\"refused\":%lu,\"received\":%lu,\"inTime\":%lu,\"writtenOff\":%lu,\"again\":%lu,\"skipped\":%ld,"
         "\"outOfOrder\":%lu,\"cpuUs\":%.0f,\"elapsedUs\":%ld,\"ageUs\":{\"p50\":%u,\"p99\":%u,\"p999\":%u,\"longest\":%u}}\n",
         paced.sent, paced.refused, tally.received, tally.in_time, paced.written_off, tally.again, tally.skipped,
         tally.out_of_order, cpu_us, elapsed_us, percentile(0.5), percentile(0.99), percentile(0.999), longest);
  fflush(stdout);
}

static void run(const struct load *load) {
  bool is_saturating = is_of(load, "saturate");
  for (uint32_t i = 0; i < relation_count; i++) relations[i].has_last = false;
  if (!is_saturating) begin_paced(load);
  int64_t under_way = 0;
  for (int lap = 0; lap < load->laps; lap++) {
    memset(&tally, 0, sizeof tally);
    memset(&paced, 0, sizeof paced);
    double before_us = cpu_us();
    int64_t from_us = is_saturating ? now_us() : run_began_us + lap * load->seconds * 1e6;
    if (is_saturating) run_saturated(load);
    else run_paced(load, lap);
    int64_t ended_us = now_us();
    under_way += paced.sent * load->fan_out;
    if (lap + 1 == load->laps) settle(under_way);
    under_way -= tally.received;
    report(cpu_us() - before_us, ended_us - from_us);
  }
  run_began_us = run_ends_us = INT64_MAX;
}

static void obey(char *line) {
  static char hex[LINE_BYTES], pattern[LINE_BYTES];
  char word[16], host[16];
  int number, tries, times, stamp_at, id_at;
  unsigned pmu, step;
  struct load load;
  if (sscanf(line, "socket %15s %15s %d", word, host, &number) == 3) open_socket(word, host, number);
  else if (sscanf(line, "ask %d %d %s %d %s", &number, &tries, pattern, &times, hex) == 5)
    ask(at(number), tries, pattern, times, hex);
  else if (sscanf(line, "say %d %s", &number, hex) == 2) {
    size_t count;
    uint8_t *bytes = bytes_of(hex, &count);
    send_all(at(number), bytes, count);
    free(bytes);
  } else if (sscanf(line, "read %d %15s", &number, word) == 2)
    at(number)->reader = strcmp(word, "coap") == 0 ? COAP : strcmp(word, "websocket") == 0 ? WEBSOCKET : STREAM;
  else if (sscanf(line, "poll %d %s", &number, hex) == 2) {
    struct connection *connection = at(number);
    connection->reader = POLL;
    connection->request = bytes_of(hex, &connection->request_bytes);
    send_all(connection, connection->request, connection->request_bytes);
  } else if (sscanf(line, "topic %d %d %d %s", &number, &stamp_at, &id_at, hex) == 4) {
    struct topic *topic = add_topic(number, hex);
    topic->stamp_at = stamp_at;
    topic->id_at = id_at;
  } else if (sscanf(line, "frame %d %s", &number, hex) == 2) add_topic(number, hex)->is_frame = true;
  else if (sscanf(line, "relation %u %u", &pmu, &step) == 2) add_relation(pmu, step);
  else if (strcmp(line, "sync") == 0) {
    puts("ok");
    fflush(stdout);
  } else if (sscanf(line, "run %15s %lf %lf %d %d %d %d %d %d", load.shape, &load.seconds, &load.rate, &load.fan_out, &load.window,
                    &load.batch, &load.first, &load.count, &load.laps) == 9 &&
             load.first >= 0 && load.count > 0 && load.first + load.count <= topic_count && load.batch <= MOST_BATCH)
    run(&load);
  else {
    errno = EINVAL;
    give_up(line);
  }
}

int main(void) {
  static char line[2 * LINE_BYTES];
  size_t filled = 0;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  events = epoll_create1(0);
  /* Else the kernel may wake it 50 us late. */
  prctl(PR_SET_TIMERSLACK, 1);
  struct epoll_event orders = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(events, EPOLL_CTL_ADD, 0, &orders);
  for (int value = 0; value < 256; value++) {
    uint16_t crc = value << 8;
    for (int bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
    crc_table[value] = crc;
  }
  for (;;) {
    struct pollfd order = {.fd = 0, .events = POLLIN};
    attend(-1);
    if (poll(&order, 1, 0) <= 0) continue;
    ssize_t got = read(0, line + filled, sizeof line - 1 - filled);
    /* Who started it has gone. */
    if (got <= 0) return 0;
    filled += got;
    line[filled] = 0;
    char *from = line;
    for (char *end; (end = strchr(from, '\n')); from = end + 1) {
      *end = 0;
      obey(from);
    }
    filled = line + filled - from;
    memmove(line, from, filled);
  }
}
