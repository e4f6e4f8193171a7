/** HTTP exchanges on node:http and node:https: `fetch` takes no certificate authority of one's own. */
import { Agent, request, type IncomingMessage } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import type { TlsFiles } from './client.js';

export interface HttpAsked {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | undefined;
  readonly signal: AbortSignal;
}

export interface HttpAnswered {
  readonly status: number;
  readonly header: (name: 'content-type' | 'location') => string | undefined;
  readonly bytes: Uint8Array;
}

/** Idle connections are given up before a broker does it, 10 s: a request would go out into one that is being closed. */
const IDLE_MS = 4_000;

/** A pool of connections to one broker. */
export class HttpConnections {
  private readonly agent: Agent;

  constructor(
    private readonly isSecure: boolean,
    tls: TlsFiles = {},
  ) {
    const options = { keepAlive: true, timeout: IDLE_MS };
    this.agent = isSecure ? new SecureAgent({ ...options, ...tls }) : new Agent(options);
  }

  /** Redirects are answers like others. Rejects where no whole answer comes. */
  ask(uri: string, { method, headers, body, signal }: HttpAsked): Promise<HttpAnswered> {
    return new Promise((answered, failed) => {
      const asking = (this.isSecure ? secureRequest : request)(
        uri,
        { method, headers, signal, agent: this.agent },
        (response) => void whole(response).then(answered, failed),
      );
      asking.on('error', failed);
      asking.end(body);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}

async function whole(response: IncomingMessage): Promise<HttpAnswered> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response) chunks.push(chunk as Uint8Array);
  return { status: response.statusCode ?? 0, header: (name) => response.headers[name], bytes: Buffer.concat(chunks) };
}
