/* What the parts of the load generator share: its connections, and the account of what came. */
#ifndef WIRE_H
#define WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How a connection's bytes are read. */
enum reader {
  /** To be thrown away: answers to what was published. */
  DRAIN,
  /** A stream in which each message bears a stamp: MQTT, NATS, RESP. */
  STREAM,
  /** WebSocket frames; a ping is answered. */
  WEBSOCKET,
  /** HTTP answers, each of which is followed by the next poll. */
  POLL,
  /** CoAP datagrams; what is confirmable is acknowledged. */
  COAP
};

struct connection {
  int fd;
  bool is_udp;
  enum reader reader;
  /** What a poll sends. */
  uint8_t *request;
  size_t request_bytes;
  /** Of a message that has not come whole. */
  uint8_t carry[16384];
  size_t carried;
  /** Of a message that has not gone whole. */
  uint8_t *pending;
  size_t pending_bytes;
};

/** One observe relation whose notifications are counted one by one. */
struct relation {
  uint32_t pmu;
  /** By how much the sequence grows from one notification to the next: a subscriber at 5 of 30 a second sees every sixth. */
  uint32_t step;
  uint32_t last;
  bool has_last;
  /** Which of the 64 up to the last have come, the last in the lowest bit. */
  uint64_t seen;
};

/** Microseconds, each with a count of its own; longer ages share the last. */
#define AGES (1 << 23)
/** Slots whose departures are remembered. */
#define SLOTS 256

struct tally {
  /** Of the run: those whose stamp is not older than its beginning. */
  uint64_t received;
  /** Before its end. */
  uint64_t in_time;
  uint64_t again, out_of_order;
  /** Below 0 where what a lap before took for skipped has come in this one. */
  int64_t skipped;
  uint32_t ages[AGES];
};

extern struct tally tally;
/** Microseconds of the monotonic clock; infinite between runs. */
extern int64_t run_began_us, run_ends_us;

/** Connections with something pending. */
extern int waiting_connections;

extern struct relation *relations;
extern uint32_t relation_count;
/** When the frame of a PMU and slot left. */
extern int64_t (*departures)[SLOTS];
extern uint32_t pmu_count;
extern uint32_t slots_per_second;

int64_t now_us(void);
_Noreturn void give_up(const char *why);
/** Reads all that is there. */
void serve(struct connection *connection);
void send_all(struct connection *connection, const uint8_t *bytes, size_t count);
#endif
