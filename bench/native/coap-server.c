/*
 * A peer: libcoap with observable resources t/0 ... t/N, whose observers are told of each PUT by non-confirmables.
 *
 *     coap-server N
 */
#include <coap3/coap.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_BYTES 1024

struct body {
  uint8_t bytes[BODY_BYTES];
  size_t count;
};

static void get(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request, const coap_string_t *query,
                coap_pdu_t *response) {
  (void)session, (void)request, (void)query;
  const struct body *body = coap_resource_get_userdata(resource);
  coap_pdu_set_code(response, COAP_RESPONSE_CODE_CONTENT);
  coap_add_data(response, body->count, body->bytes);
}

static void put(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request, const coap_string_t *query,
                coap_pdu_t *response) {
  (void)session, (void)query;
  struct body *body = coap_resource_get_userdata(resource);
  size_t count;
  const uint8_t *bytes;
  if (coap_get_data(request, &count, &bytes) && count <= BODY_BYTES) {
    memcpy(body->bytes, bytes, count);
    body->count = count;
    coap_resource_notify_observers(resource, NULL);
  }
  coap_pdu_set_code(response, COAP_RESPONSE_CODE_CHANGED);
}

int main(int words, char **word) {
  if (words != 2) return 2;
  coap_startup();
  coap_address_t at;
  coap_address_init(&at);
  at.addr.sin.sin_family = AF_INET;
  at.addr.sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.size = sizeof at.addr.sin;
  coap_context_t *context = coap_new_context(NULL);
  /* It tells nobody which port it was given: it looks for one itself. */
  coap_endpoint_t *endpoint = NULL;
  int port = 20000 + getpid() % 20000;
  for (int tries = 0; !endpoint && tries < 100; tries++) {
    at.addr.sin.sin_port = htons(++port);
    endpoint = coap_new_endpoint(context, &at, COAP_PROTO_UDP);
  }
  if (!endpoint) return 1;
  for (int topic = 0; topic < atoi(word[1]); topic++) {
    char path[32];
    int length = snprintf(path, sizeof path, "t/%d", topic);
    coap_resource_t *resource = coap_resource_init(coap_new_str_const((uint8_t *)path, length),
                                                   COAP_RESOURCE_FLAGS_NOTIFY_NON_ALWAYS | COAP_RESOURCE_FLAGS_RELEASE_URI);
    coap_resource_set_userdata(resource, calloc(1, sizeof(struct body)));
    coap_resource_set_get_observable(resource, 1);
    coap_register_request_handler(resource, COAP_REQUEST_GET, get);
    coap_register_request_handler(resource, COAP_REQUEST_PUT, put);
    coap_add_resource(context, resource);
  }
  printf("port %d\n", port);
  fflush(stdout);
  for (;;) coap_io_process(context, COAP_IO_WAIT);
}
