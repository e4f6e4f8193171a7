import { createPublicKey } from 'node:crypto';
import { isRefusal } from '../../src/errors.js';
import { Expiries } from '../../src/protocols/expiries.js';
import { bearerToken, believe, identifyBy, type Claim, type Identify } from '../../src/protocols/identity.js';
import { jwtVerifier, type VerifyJwt } from '../../src/protocols/jwt.js';
import { ManualClock } from '../support/manual-clock.js';
import { API_KEY, Issuer } from '../support/tokens.js';

const clock = new ManualClock();
const nowS = (): number => clock.wallUs() / 1e6;
const issuer = new Issuer();

function verifierOf(by: Issuer, text = by.pem): VerifyJwt {
  const { jwt } = by.identity();
  const verify = jwt && jwtVerifier(jwt, text, clock);
  if (!verify || isRefusal(verify)) throw new Error(verify?.detail);
  return verify;
}
const identifying = (by = issuer, anonymous = false): Identify =>
  identifyBy(by.identity({ anonymous }), verifierOf(by));
const token = (claims: Readonly<Record<string, unknown>> = {}, ...rest: [('none' | 'HS256')?]): string =>
  issuer.token(claims, rest[0], nowS());

describe('a signed token', () => {
  test.each(['EdDSA', 'ES256', 'RS256'] as const)(
    'by %s is its subject’s, from PEM and from a JWKS',
    async (algorithm) => {
      const by = new Issuer(algorithm);
      const jwks = JSON.stringify({ keys: [createPublicKey(by.pem).export({ format: 'jwk' })] });
      for (const text of [by.pem, jwks]) {
        const identity = await identifyBy(
          by.identity(),
          verifierOf(by, text),
        )({ token: by.token({}, algorithm, nowS()) });
        expect(identity).toEqual({ originator: 'app-1', expiresUs: (nowS() + 60) * 1e6 });
      }
    },
  );

  test.each<[string, () => string, string]>([
    ['that has expired', () => token({ exp: nowS() - 1 }), 'it has expired'],
    ['that expires now', () => token({ exp: nowS() }), 'it has expired'],
    ['that is not valid yet', () => token({ nbf: nowS() + 60 }), 'its nbf is not'],
    ['that never expires', () => token({ exp: undefined }), 'its exp is not'],
    ['of another issuer', () => token({ iss: 'https://evil.example' }), 'its iss is not'],
    ['for another audience', () => token({ aud: 'another' }), 'its aud is not'],
    ['without a subject', () => token({ sub: undefined }), 'its sub is not'],
    ['by another key', () => new Issuer().token({}, undefined, nowS()), 'no key of its issuer'],
    ['without a signature', () => token({}, 'none'), 'its algorithm is not allowed'],
    ['with the public key for a shared secret', () => token({}, 'HS256'), 'its algorithm is not allowed'],
    [
      'that was changed',
      () => token().replace(/\.[^.]+\./, `.${token({ sub: 'root' }).split('.')[1]}.`),
      'no key of its issuer',
    ],
  ])('%s is refused', async (_, made, sentence) => {
    const text = made();
    const refusal = await identifying()({ token: text });
    expect(refusal).toMatchObject({ status: 'STATUS_PERMISSION_DENIED', detail: expect.stringContaining(sentence) });
    expect(JSON.stringify(refusal)).not.toContain(text);
  });

  test('counts by the injected clock', async () => {
    const identify = identifying();
    const short = token({ exp: nowS() + 5 });
    expect(isRefusal(await identify({ token: short }))).toBe(false);
    clock.step(5_000);
    expect(isRefusal(await identify({ token: short }))).toBe(true);
  });

  test('has keys that are a JWKS or a public key, or there is no start', () => {
    const { jwt } = issuer.identity();
    if (!jwt) throw new Error('no jwt');
    for (const text of ['', '{}', 'x', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----'])
      expect(jwtVerifier(jwt, text, clock)).toMatchObject({
        detail: expect.stringMatching(/^identity.jwt.keys: .*JWKS/),
      });
  });
});

describe('who a peer is', () => {
  test.each<[string, Claim, string | number]>([
    ['an API key', { token: API_KEY }, 'meter-7'],
    ['an API key and its owner’s name', { token: API_KEY, originator: 'meter-7' }, 'meter-7'],
    ['an API key and another name', { token: API_KEY, originator: 'meter-8' }, 401],
    ['an API key and another’s certificate', { token: API_KEY, certified: 'meter-8' }, 401],
    ['a part of a key', { token: API_KEY.slice(1) }, 401],
    ['an empty token', { token: '' }, 401],
    ['a certificate', { certified: 'gscl-1' }, 'gscl-1'],
    ['a certificate and another name', { certified: 'gscl-1', originator: 'gscl-2' }, 401],
    ['a certificate that names nobody', { certified: '' }, 400],
    ['a name alone', { originator: 'operator-1' }, 401],
    ['nothing', {}, 401],
  ])('by %s', async (_, claim, expected) => {
    const identity = await identifying()(claim);
    if (typeof expected === 'string') expect(identity).toEqual({ originator: expected });
    else
      expect(identity).toMatchObject({ status: expected === 401 ? 'STATUS_PERMISSION_DENIED' : 'STATUS_BAD_REQUEST' });
  });

  test('is nobody in particular where anonymous ones are let in; a name still wants a proof', () => {
    const identify = identifying(issuer, true);
    expect(identify({})).toEqual({ originator: 'anonymous' });
    expect(identify({ originator: 'operator-1' })).toMatchObject({ status: 'STATUS_PERMISSION_DENIED' });
  });

  test('is believed where no security is configured', () => {
    expect(believe({ originator: 'operator-1' })).toEqual({ originator: 'operator-1' });
    expect(believe({ originator: 'operator-1', certified: 'operator-2' })).toMatchObject({
      status: 'STATUS_PERMISSION_DENIED',
    });
  });

  test.each([
    [undefined, undefined],
    ['Bearer abc', 'abc'],
    ['bearer  a.b-c_~+/==', 'a.b-c_~+/=='],
    ['Basic abc', ''],
    ['Bearer a b', ''],
  ])('of the field %j it is the token %j', (field, expected) => expect(bearerToken(field)).toBe(expected));
});

test('an expiry is told once, within a second, though the wall clock steps; nothing ticks when nothing expires', () => {
  const own = new ManualClock();
  const over: string[] = [];
  const expiries = new Expiries<string>(own, (holder) => over.push(holder));
  const inS = (seconds: number) => ({ originator: 'x', expiresUs: own.wallUs() + seconds * 1e6 });
  expiries.hold('a', inS(10));
  expiries.hold('b', inS(3600));
  expiries.hold('c', { originator: 'x' });
  expiries.hold('a', inS(20));
  own.advance(11_000);
  expect(over).toEqual([]);
  own.advance(10_000);
  expect(over).toEqual(['a']);
  own.step(3_600_000);
  own.advance(1_000);
  expect(over).toEqual(['a', 'b']);
  expect(own.pending).toBe(0);
});
