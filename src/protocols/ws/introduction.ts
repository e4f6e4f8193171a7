/**
 * How a peer becomes known: a token takes a moment to check, and what is said meanwhile waits its turn.
 *
 *     hello ──> Identify ──> at once ──────────────────────> known
 *                   └──────> later: frames are held ──> known, then the frames in order
 */
import { refuse, type Refusal } from '../../errors.js';
import type { Claim, Identify, Identity } from '../identity.js';
import type { Frame, HelloFrame } from './frames.js';

/** Frames held; a peer that says more has not waited for its welcome. */
const MAX_HELD = 64;
const TOO_EARLY = refuse('STATUS_TOO_MANY_REQUESTS', `More than ${MAX_HELD} frames came before the welcome.`);

export class Introduction {
  private held: Frame[] | undefined;

  /** @param claim what the upgrade showed */
  constructor(
    private readonly identify: Identify,
    private readonly claim: Claim,
  ) {}

  get isUnderWay(): boolean {
    return this.held !== undefined;
  }

  /** Keeps a frame until the peer is known; refused when there are too many. */
  hold(frame: Frame): Refusal | undefined {
    return (this.held?.push(frame) ?? 0) > MAX_HELD ? TOO_EARLY : undefined;
  }

  /**
   * @param known is called once, perhaps before this returns
   * @param hear is called for each frame held, after `known`
   * @param failed is told what any of them throws later on
   */
  begin(
    { originator, token }: HelloFrame,
    known: (identity: Identity | Refusal) => void,
    hear: (frame: Frame) => void,
    failed: (error: unknown) => void,
  ): void {
    const said = { ...(originator !== undefined && { originator }), ...(token !== undefined && { token }) };
    const identity = this.identify({ ...this.claim, ...said });
    if (!(identity instanceof Promise)) return known(identity);
    const held: Frame[] = (this.held = []);
    identity
      .then((proven) => {
        this.held = undefined;
        known(proven);
        held.forEach(hear);
      })
      .catch(failed);
  }
}
