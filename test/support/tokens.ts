/** Signed tokens made with node:crypto alone, so that what checks them is not what made them. */
import { createHash, createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IdentityConfig, JwtConfig } from '../../src/config-channels.js';
import { temporaryFolder } from './folder.js';

export const ISSUER = 'https://issuer.example';
export const AUDIENCE = 'gridcast';

type Algorithm = JwtConfig['algorithms'][number] | 'none' | 'HS256';

const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');

/** An issuer with a key pair, whose public half lies in a file. */
export class Issuer {
  readonly pem: string;
  readonly file = join(temporaryFolder(), 'issuer.pem');
  private readonly privateKey: KeyObject;

  constructor(private readonly algorithm: JwtConfig['algorithms'][number] = 'EdDSA') {
    const pair =
      algorithm === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : algorithm === 'ES256'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.privateKey = pair.privateKey;
    this.pem = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
    writeFileSync(this.file, this.pem);
  }

  /** @param claims in place of, or beside, those of a good token for `app-1` that lives a minute; undefined leaves one out */
  token(
    claims: Readonly<Record<string, unknown>> = {},
    alg: Algorithm = this.algorithm,
    nowS = Date.now() / 1000,
  ): string {
    const standard = { iss: ISSUER, aud: AUDIENCE, sub: 'app-1', exp: Math.floor(nowS) + 60 };
    const signed = `${encoded({ alg, typ: 'JWT' })}.${encoded({ ...standard, ...claims })}`;
    return `${signed}.${this.signature(signed, alg).toString('base64url')}`;
  }

  /** The configuration that takes its tokens, and one API key for `meter-7`. */
  identity(rest: Partial<NonNullable<IdentityConfig>> = {}): NonNullable<IdentityConfig> {
    const jwt: JwtConfig = {
      issuer: ISSUER,
      audience: AUDIENCE,
      keys: this.file,
      algorithms: ['EdDSA', 'ES256', 'RS256'],
    };
    const sha256 = createHash('sha256').update(API_KEY).digest('hex');
    return { apiKeys: [{ originator: 'meter-7', sha256 }], jwt, anonymous: false, ...rest };
  }

  private signature(signed: string, alg: Algorithm): Buffer {
    const bytes = Buffer.from(signed);
    if (alg === 'none') return Buffer.alloc(0);
    if (alg === 'HS256') return createHmac('sha256', this.pem).update(bytes).digest();
    return sign(alg === 'EdDSA' ? null : 'sha256', bytes, { key: this.privateKey, dsaEncoding: 'ieee-p1363' });
  }
}

export const API_KEY = 'R7dJ3-zZgkRm0oVdpwN1dKQ2o6f9sGxYw';
