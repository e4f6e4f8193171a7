/**
 * Signed tokens [RFC7519]: `sub` is the originator. The one import site of jose.
 *
 *     token ──> algorithm allowed? ──> signature ──> iss, aud ──> nbf <= now < exp ──> sub
 */
import { createPublicKey } from 'node:crypto';
import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet } from 'jose';
import type { Clock } from '../clock.js';
import type { JwtConfig } from '../config-channels.js';
import { reasonOf, refuse, type Refusal } from '../errors.js';
import type { Identity } from './identity.js';

/** Whom a token belongs to, or what is wrong with it; the sentence does not quote it. */
export type VerifyJwt = (token: string) => Promise<Identity | Refusal>;

type VerificationKey = Parameters<typeof jwtVerify>[1];

/** @param text of the file `keys`: a JWKS, or one public key as PEM; refused where it is neither */
export function jwtVerifier(config: JwtConfig, text: string, clock: Clock): VerifyJwt | Refusal {
  try {
    return verifierOf(config, keyOf(text), clock);
  } catch (error) {
    const detail = `identity.jwt.keys: ${config.keys} must be a JWKS or a public key as PEM: ${reasonOf(error)}.`;
    return refuse('STATUS_BAD_REQUEST', detail);
  }
}

function keyOf(text: string): VerificationKey {
  if (text.includes('PRIVATE KEY-----')) throw new Error('it holds a private key, which is the issuer’s alone');
  if (text.includes('-----BEGIN')) return createPublicKey(text);
  return createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
}

function verifierOf({ issuer, audience, algorithms }: JwtConfig, key: VerificationKey, clock: Clock): VerifyJwt {
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, key, {
        issuer,
        audience,
        algorithms,
        currentDate: new Date(clock.wallUs() / 1000),
        // One that never ends could not be taken back.
        requiredClaims: ['sub', 'exp'],
      });
      const { sub = '', exp = 0 } = payload;
      return { originator: sub, expiresUs: exp * 1_000_000 };
    } catch (error) {
      return refuse('STATUS_PERMISSION_DENIED', `The token is refused: ${sentenceOf(error)}.`);
    }
  };
}

function sentenceOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  if (error instanceof errors.JWTClaimValidationFailed) return `its ${error.claim} is not what is taken here`;
  if (error instanceof errors.JOSEAlgNotAllowed) return 'its algorithm is not allowed';
  return 'no key of its issuer has signed it';
}
