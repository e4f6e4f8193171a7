/*
 * A link of a given length, for those who have one machine: what is sent to 10.9.0.2 through the TUN device comes back after the
 * delay as sent by it, its two addresses having changed places. The checksums are sums and stay right. So both ends are this
 * machine's own stacks, and every acknowledgement between them is a packet that can be seen.
 *
 *     client 10.9.0.1:c ──> 10.9.0.2:80   ── delay, swap ──>   10.9.0.2:c ──> 10.9.0.1:80 server
 *
 *     link DEVICE DELAY-US
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET_BYTES 2048
#define MOST_PACKETS 4096
#define IPV4_HEADER_BYTES 20
#define ADDRESSES_AT 12

struct packet {
  int64_t due_ns;
  ssize_t count;
  uint8_t bytes[PACKET_BYTES];
};

static struct packet queue[MOST_PACKETS];

static _Noreturn void give_up(const char *why) {
  fprintf(stderr, "link: %s: %s\n", why, strerror(errno));
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int words, char **word) {
  if (words != 3) return 2;
  int64_t delay_ns = atoll(word[2]) * 1000;
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (tun < 0) give_up("/dev/net/tun");
  struct ifreq wanted = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  strncpy(wanted.ifr_name, word[1], IFNAMSIZ - 1);
  if (ioctl(tun, TUNSETIFF, &wanted) < 0) give_up("TUNSETIFF");
  puts("up");
  fflush(stdout);
  for (uint64_t came = 0, left = 0;;) {
    struct pollfd ready = {.fd = tun, .events = POLLIN};
    int64_t wait_ns = left < came ? queue[left % MOST_PACKETS].due_ns - now_ns() : 1000000000;
    struct timespec wait = {0, wait_ns < 0 ? 0 : wait_ns > 999999999 ? 999999999 : wait_ns};
    if (ppoll(&ready, 1, &wait, NULL) < 0 && errno != EINTR) give_up("ppoll");
    while (came - left < MOST_PACKETS) {
      struct packet *packet = &queue[came % MOST_PACKETS];
      packet->count = read(tun, packet->bytes, PACKET_BYTES);
      if (packet->count < 0) break;
      /* What the system says of itself on a new device, in IPv6, has no other end. */
      if (packet->count < IPV4_HEADER_BYTES || packet->bytes[0] >> 4 != 4) continue;
      uint8_t from[4];
      memcpy(from, packet->bytes + ADDRESSES_AT, 4);
      memmove(packet->bytes + ADDRESSES_AT, packet->bytes + ADDRESSES_AT + 4, 4);
      memcpy(packet->bytes + ADDRESSES_AT + 4, from, 4);
      packet->due_ns = now_ns() + delay_ns;
      came++;
    }
    for (; left < came && queue[left % MOST_PACKETS].due_ns <= now_ns(); left++) {
      const struct packet *packet = &queue[left % MOST_PACKETS];
      if (write(tun, packet->bytes, packet->count) < 0) give_up("write");
    }
  }
}
