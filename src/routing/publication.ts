/** A publisher's way into one container, where nobody waits for an answer: found and authorised once, then no sample is a request. */
export interface Publication {
  /**
   * Takes what a datagram holds from `start` on as the content of a new instance. It is copied: a ring would keep the datagram.
   *
   * @returns false where it was not taken: what the way was found by is no longer so, and the content is to come as a request
   */
  publish(datagram: Uint8Array, start: number): boolean;
}
