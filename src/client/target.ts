/** Where a broker is and what is asked of it, out of a URI: `coap://127.0.0.1:5683/m2m/applications?rate=5`. */
import { GridcastError } from './error.js';

/** Port of a URI that names none [RFC7252-6.1, RFC9110-4.2]. */
const DEFAULT_PORTS = { http: 80, https: 443, coap: 5683, ws: 80, wss: 443 } as const;
export type Scheme = keyof typeof DEFAULT_PORTS;

export interface Target {
  readonly scheme: Scheme;
  /** A name or numeric address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** Percent-encoded, from the root. */
  readonly path: string;
  readonly query: URLSearchParams;
}

const isScheme = (scheme: string): scheme is Scheme => Object.hasOwn(DEFAULT_PORTS, scheme);

/** Throws a GridcastError (`argument`) that says what is wrong with the URI. */
export function parseTarget(uri: string): Target {
  const bad = (why: string): GridcastError => new GridcastError('argument', `${JSON.stringify(uri)} ${why}`);
  if (!URL.canParse(uri)) throw bad('is not a URI; expected something like coap://127.0.0.1:5683/m2m.');
  const url = new URL(uri);
  const scheme = url.protocol.slice(0, -1);
  if (!isScheme(scheme)) throw bad(`has the scheme ${scheme}; known are ${Object.keys(DEFAULT_PORTS).join(', ')}.`);
  if (url.hostname === '') throw bad('names no host.');
  if (url.username !== '' || url.hash !== '') throw bad('has a user or a fragment, and neither is taken here.');
  return {
    scheme,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? DEFAULT_PORTS[scheme] : Number(url.port),
    path: url.pathname === '' ? '/' : url.pathname,
    query: url.searchParams,
  };
}

/** Host and port as they stand in a URI. */
export const authority = ({ host, port }: Target): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** The path and query that `to`, a path or a whole URI, means at this broker. */
export function resolve(base: Target, to: string): Target {
  const root = `${base.scheme}://${authority(base)}/`;
  if (!URL.canParse(to, root))
    throw new GridcastError('argument', `${JSON.stringify(to)} is neither a path nor a URI.`);
  const { pathname, searchParams } = new URL(to, root);
  return { ...base, path: pathname, query: searchParams };
}

/** Path with its query. */
export const pathAndQuery = ({ path, query }: Pick<Target, 'path' | 'query'>): string =>
  query.size === 0 ? path : `${path}?${query.toString()}`;
