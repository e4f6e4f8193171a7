/**
 * The part of the configuration that says where the broker listens, with which certificates, and whom it lets in.
 *
 *     listeners ──> placesOf ──> loopback   itself alone                  in clear
 *                                private    a network of one's own        in clear, or TLS
 *                                public     whoever can read along        TLS
 *
 * The shapes stand in the schemas; what no single key can know of the others, in `channelFaults`.
 */
import { z } from 'zod';

/** An application's or SCL's id goes into logs, accounts and command ids. */
export const ORIGINATOR = /^[\w.:@/-]{1,128}$/;
const LOOPBACK = /^(localhost|127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}|::1)$/;
const SHA256 = /^[0-9a-f]{64}$/;
const LARGEST_PORT = 65_535;
/** Signatures that a public key checks; with a shared secret every service that checks tokens could make them. */
const ALGORITHMS = ['EdDSA', 'ES256', 'RS256'] as const;

// Addresses are numeric below this floor.
const numeric = (host: string): string => (host === 'localhost' ? '127.0.0.1' : host);
export const loopbackHost = z.string().regex(LOOPBACK).transform(numeric);

const listener = z.strictObject({
  protocol: z.enum(['http', 'https', 'coap']),
  host: z
    .union([z.ipv4(), z.ipv6(), z.literal('localhost')], { error: 'expected a numeric address' })
    .transform(numeric),
  port: z.int().min(0).max(LARGEST_PORT),
  network: z.enum(['loopback', 'private', 'public']).optional(),
});
export type ListenerConfig = z.infer<typeof listener>;
export const listenersSchema = z.array(listener);

export const tlsSchema = z
  .strictObject({
    certificate: z.string().min(1),
    key: z.string().min(1),
    clientCa: z.string().min(1).optional(),
    clientCertificates: z.enum(['none', 'optional', 'required']).default('none'),
  })
  .refine(({ clientCa, clientCertificates }) => (clientCertificates === 'none') === (clientCa === undefined), {
    error: 'clientCa and clientCertificates: optional or required go together',
  })
  .nullable();
export type TlsConfig = z.infer<typeof tlsSchema>;

export const identitySchema = z
  .strictObject({
    apiKeys: z
      .array(
        z.strictObject({ originator: z.string().regex(ORIGINATOR), sha256: z.string().toLowerCase().regex(SHA256) }),
      )
      .default([]),
    jwt: z
      .strictObject({
        issuer: z.string().min(1),
        audience: z.string().min(1),
        keys: z.string().min(1),
        algorithms: z
          .array(z.enum(ALGORITHMS))
          .min(1)
          .default([...ALGORITHMS]),
      })
      .optional(),
    anonymous: z.boolean().default(false),
  })
  .nullable();
export type IdentityConfig = z.infer<typeof identitySchema>;
export type JwtConfig = NonNullable<NonNullable<IdentityConfig>['jwt']>;

export interface ChannelConfig {
  readonly host: string;
  readonly http: number;
  readonly coap: number;
  readonly listeners: readonly ListenerConfig[];
  readonly tls: TlsConfig;
  readonly identity: IdentityConfig;
}

/** Where one listener stands. */
export interface Place {
  readonly protocol: ListenerConfig['protocol'];
  readonly host: string;
  readonly port: number;
  /** Undefined: it must be said, and is not. */
  readonly network: ListenerConfig['network'];
}

/** All places: those of `listeners`, or the short form's two. */
export function placesOf({ host, http, coap, listeners }: Omit<ChannelConfig, 'tls' | 'identity'>): readonly Place[] {
  const short: readonly ListenerConfig[] = [
    { protocol: 'http', host, port: http },
    { protocol: 'coap', host, port: coap },
  ];
  return (listeners.length > 0 ? listeners : short).map(({ network, ...place }) => ({
    ...place,
    network: network ?? (LOOPBACK.test(place.host) ? 'loopback' : undefined),
  }));
}

/** What of the keys does not go together, a sentence each. */
export function channelFaults(config: ChannelConfig): readonly string[] {
  const { tls, identity } = config;
  const places = placesOf(config);
  const faults = places.flatMap((place) => placeFaults(place, tls));
  if (!identity && places.some(({ network }) => network !== 'loopback')) {
    faults.push(
      'identity: it must be configured before other machines are listened to: apiKeys, jwt, or anonymous: true on purpose. Without it whoever reaches the broker is its administrator.',
    );
  }
  const isClosed = identity && !identity.anonymous && identity.apiKeys.length === 0 && !identity.jwt && !tls?.clientCa;
  if (isClosed)
    faults.push('identity: nobody could come in; it must have apiKeys, jwt, anonymous: true, or tls a clientCa.');
  return faults;
}

function placeFaults({ protocol, host, port, network }: Place, tls: TlsConfig): string[] {
  const where = `listeners: ${protocol} on ${host} port ${port}`;
  if (network === undefined)
    return [`${where} can be reached from other machines; it must say network: private (your own) or network: public.`];
  if (network === 'loopback' && !LOOPBACK.test(host))
    return [`${where} is no loopback address; its network must be private or public.`];
  if (network === 'public' && protocol === 'coap')
    return [`${where} is public and in clear, tokens included; there CoAP is not served: use https and wss.`];
  if (network === 'public' && protocol === 'http')
    return [`${where} is public and in clear, tokens included; it must be https.`];
  if (protocol === 'https' && !tls) return [`${where} needs a certificate: tls: {certificate: FILE, key: FILE}.`];
  return [];
}
