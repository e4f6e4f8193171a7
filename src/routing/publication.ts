/** A publisher's way into one container, where nobody waits for an answer: found and authorised once, then no sample is a request. */
export interface Publication {
  /**
   * Takes one content as a new instance. It is copied: datagrams are large or share slabs, and a ring would keep them.
   *
   * @returns false where it was not taken: what the way was found by is no longer so, and the content is to come as a request
   */
  publish(bytes: Uint8Array): boolean;
}
