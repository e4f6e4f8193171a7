/** A contact that is not connected: a server of its own over HTTP, and what it was told. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JsonObject } from '../../src/json.js';
import { whenStageCloses } from './stage.js';

export interface Notify {
  readonly statusCode: string;
  readonly subscriptionReference: string;
  readonly missed?: number;
  readonly representation?: { readonly contentType: string; readonly textContent: string };
}

/** A contact over HTTP that answers with what it is told to. */
export async function contactAnswering(...statuses: number[]) {
  const told: Notify[] = [];
  /** What was told together, by length. */
  const collections: number[] = [];
  const waiting: (() => void)[] = [];
  let isHolding = false;
  const server = createHttpServer((request, response) => {
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => {
      const { notify, notifyCollection } = JSON.parse(body) as {
        notify?: Notify;
        notifyCollection?: { notify: readonly Notify[] };
      };
      const all = notifyCollection?.notify ?? (notify ? [notify] : []);
      if (notifyCollection) collections.push(all.length);
      told.push(...all);
      const answer = (): void => void response.writeHead(statuses.shift() ?? 204).end();
      if (isHolding) waiting.push(answer);
      else answer();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenStageCloses(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/notify?to=me`,
    told,
    collections,
    hold: () => (isHolding = true),
    letGo: () => {
      isHolding = false;
      for (const answer of waiting.splice(0)) answer();
    },
    states: () =>
      told.flatMap(({ representation }) =>
        representation ? [JSON.parse(representation.textContent) as JsonObject] : [],
      ),
  };
}
