/** Sends what is asked below an application on to where it answers for itself; see resources/retarget.ts for which paths. */
import { refuse } from '../errors.js';
import { retargetOf } from '../resources/retarget.js';
import type { Forwarders } from '../routing/forward.js';
import { pathText, refused, type Request, type Response } from '../routing/primitive.js';
import type { Node } from './resources.js';

/** Less than clients wait for their own answer, 10 s: so they hear who was too slow. */
const ANSWER_WITHIN_MS = 8_000;
/** Requests that one application is being asked at the same time: also what an aPoC that leads back here can take of the broker. */
const AT_ONCE = 64;

export class Retargeting {
  private readonly open = new Map<Node, number>();

  constructor(private readonly forwarders: Forwarders) {}

  async forward(request: Request, application: Node, rest: readonly string[]): Promise<Response> {
    const retarget = retargetOf(application, rest);
    const uri = retarget && urlOf(retarget.aPoC + pathText(rest), request.query);
    const forwarder = uri && this.forwarders[uri.protocol];
    if (!forwarder) return refused(refuse('STATUS_BAD_GATEWAY', `The aPoC of ${application.reference} is no URL.`));
    const open = this.open.get(application) ?? 0;
    if (open >= AT_ONCE) {
      const detail = `${application.reference} is being asked ${AT_ONCE} times already; ask again in a second.`;
      return refused(refuse('STATUS_SERVICE_UNAVAILABLE', detail), { retryAfterS: 1 });
    }
    this.open.set(application, open + 1);
    try {
      return await forwarder(uri, request, ANSWER_WITHIN_MS);
    } finally {
      const left = (this.open.get(application) ?? 1) - 1;
      if (left > 0) this.open.set(application, left);
      else this.open.delete(application);
    }
  }
}

function urlOf(text: string, query: URLSearchParams): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  url.search = query.toString();
  return url;
}
