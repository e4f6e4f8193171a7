/**
 * TLS under the node transport: version 1.3 alone, without early data, which could be replayed; certificates that are replaced
 * while connections stand; and the name that a client's certificate gives it.
 */
import { createSecureContext, Server, TLSSocket, type TlsOptions } from 'node:tls';
import type { Socket } from 'node:net';
import { reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import { HEAD_TIMEOUT_MS } from './transport.js';

/** PEM texts. */
export interface CredentialFiles {
  readonly certificate: string;
  readonly key: string;
  /** Whose client certificates are good. */
  readonly clientCa?: string;
}

const contextOf = ({ certificate, key, clientCa }: CredentialFiles): TlsOptions => ({
  cert: certificate,
  key,
  ...(clientCa !== undefined && { ca: clientCa }),
  minVersion: 'TLSv1.3',
});

/** Why they cannot be used together; undefined where they can. */
export function faultOf(files: CredentialFiles): string | undefined {
  try {
    createSecureContext(contextOf(files));
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

/** What listeners show their peers, and want them to show. */
export class Credentials {
  private readonly servers = new Set<Server>();

  constructor(
    private files: CredentialFiles,
    private readonly clientCertificates: 'none' | 'optional' | 'required',
  ) {}

  /** Handshakes from now on use these; connections that are open keep theirs. */
  renew(files: CredentialFiles): void {
    this.files = files;
    for (const server of this.servers) server.setSecureContext(contextOf(files));
  }

  get options(): TlsOptions {
    return {
      ...contextOf(this.files),
      handshakeTimeout: HEAD_TIMEOUT_MS,
      requestCert: this.clientCertificates !== 'none',
      rejectUnauthorized: this.clientCertificates === 'required',
    };
  }

  /** Follows renewals until it closes, and tells the operator of handshakes that fail. */
  attach(server: Server, log: Log): void {
    this.servers.add(server);
    server.on('close', () => this.servers.delete(server));
    const failed = (remote: string | undefined, reason: string): void =>
      log.warn({ remote, reason }, 'tls: a handshake failed');
    server.on('tlsClientError', (error, { remoteAddress }) => failed(remoteAddress, error.message));
    server.on('secureConnection', (socket) => {
      if (this.clientCertificates !== 'optional' || socket.authorized || !socket.getPeerX509Certificate()) return;
      // Nobody must show one, but one that is shown must be good.
      failed(socket.remoteAddress, String(socket.authorizationError));
      socket.destroy();
    });
  }
}

/** The CN of the certificate that the peer has proved to hold, or its first URI where it has none; undefined without one. */
export function certifiedName(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) return undefined;
  const [commonName, another] = [...certificate.subject.matchAll(/^CN=(.*)$/gm)].map(([, name]) => name);
  // Of two names neither is the peer's. Empty is no originator, and so refused.
  if (another !== undefined) return '';
  // Node quotes a name that holds a comma: nothing within the quotes is a name of its own.
  const names = (certificate.subjectAltName ?? '').replace(/"(?:[^"\\]|\\.)*"/g, '');
  return commonName ?? /(?:^|, )URI:([^,]+)/.exec(names)?.[1] ?? '';
}
