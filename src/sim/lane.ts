/** A way to the broker that many simulated gateways share: one connection, or one port. */

export interface Lane {
  /** Posts that are not answered yet. */
  readonly underWay: number;
  /** Messages sent again since the start, as nothing came back: the same posts, which are counted once. */
  readonly resent: number;
  /**
   * Posts a body.
   *
   * @param answered called once, with the status as HTTP has it (201, 503); 0: none came
   */
  post(path: string, mediaType: string, body: string, answered: (status: number) => void): void;
  /** What is under way is answered with 0. */
  close(): void;
}

/** Posts that may be under way on one lane: with more, whoever posts waits for another time. */
export const LANE_DEPTH = 64;

/** What no answer came to. */
export const NO_ANSWER = 0;
