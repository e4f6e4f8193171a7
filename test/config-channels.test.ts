import { loadConfig, printConfig } from '../src/config.js';
import { isRefusal } from '../src/errors.js';

const TLS = { certificate: 'broker.pem', key: 'broker.key' };
const IDENTITY = { anonymous: true };
const at = (protocol: string, host: string, network?: string) => ({
  protocol,
  host,
  port: 1,
  ...(network && { network }),
});

/** The sentences of a refusal; none: it is taken. */
function faults(file: object): readonly string[] {
  const loaded = loadConfig({ flags: {}, environment: {}, file: { path: 'g.yaml', text: JSON.stringify(file) } });
  return isRefusal(loaded) ? loaded.detail.split('\n') : [];
}

describe('where a broker listens', () => {
  test.each<[string, object]>([
    [
      'loopback, without a word on security',
      { listeners: [at('http', '127.0.0.1'), at('coap', '::1'), at('http', 'localhost')] },
    ],
    [
      'a private network in clear',
      { listeners: [at('http', '192.0.2.1', 'private'), at('coap', '0.0.0.0', 'private')], identity: IDENTITY },
    ],
    ['a public one over TLS', { listeners: [at('https', '::', 'public')], tls: TLS, identity: IDENTITY }],
    [
      'client certificates alone',
      {
        listeners: [at('https', '192.0.2.1', 'public')],
        tls: { ...TLS, clientCa: 'ca.pem', clientCertificates: 'required' },
        identity: {},
      },
    ],
  ])('may be %s', (_, file) => expect(faults(file)).toEqual([]));

  test.each<[string, object, RegExp]>([
    [
      'an address that says no network',
      { listeners: [at('http', '192.0.2.1')], identity: IDENTITY },
      /http on 192.0.2.1 port 1 can be reached from other machines; it must say network: private/,
    ],
    [
      'all addresses called loopback',
      { listeners: [at('http', '0.0.0.0', 'loopback')], identity: IDENTITY },
      /0.0.0.0 port 1 is no loopback address/,
    ],
    [
      'HTTP in public',
      { listeners: [at('http', '192.0.2.1', 'public')], tls: TLS, identity: IDENTITY },
      /http on .* is public and in clear, tokens included; it must be https/,
    ],
    [
      'HTTP in public behind loopback',
      { listeners: [at('http', '127.0.0.1', 'public')], identity: IDENTITY },
      /public and in clear/,
    ],
    [
      'CoAP in public',
      { listeners: [at('coap', '192.0.2.1', 'public')], tls: TLS, identity: IDENTITY },
      /coap on .* is public and in clear, tokens included; there CoAP is not served/,
    ],
    ['https without a certificate', { listeners: [at('https', '127.0.0.1')] }, /needs a certificate: tls:/],
    [
      'other machines without identity',
      { listeners: [at('http', '192.0.2.1', 'private')] },
      /^identity: it must be configured before other machines/,
    ],
    ['nobody who could come in', { identity: {} }, /^identity: nobody could come in/],
    [
      'a name for an address',
      { listeners: [at('http', 'example.org', 'private')] },
      /^listeners: 0.host: expected a numeric address/,
    ],
    [
      'both forms',
      { listeners: [at('http', '127.0.0.1')], coap: 1 },
      /^listeners: it stands instead of host, http and coap/,
    ],
    [
      'a client authority that nobody is checked against',
      { tls: { ...TLS, clientCa: 'ca.pem' } },
      /^tls: clientCa and clientCertificates/,
    ],
    [
      'a symmetric algorithm',
      { identity: { jwt: { issuer: 'i', audience: 'a', keys: 'k', algorithms: ['HS256'] } } },
      /^identity: jwt.algorithms.0: /,
    ],
    ['a slip', { identity: { apiKey: [] } }, /^identity: .*apiKey/],
  ])('may not be %s', (_, file, sentence) => {
    expect(faults(file)).toEqual([expect.stringMatching(sentence)]);
  });

  test('a key where its hash should stand is refused and not repeated', () => {
    const [fault] = faults({ identity: { apiKeys: [{ originator: 'app-1', sha256: 'my-secret-key' }] } });
    expect(fault).toMatch(/^identity: apiKeys.0.sha256: .* it must be/);
    expect(fault).not.toContain('my-secret-key');
  });

  test('is printed as a file that gives the same', () => {
    const listeners = [at('https', '192.0.2.1', 'public')];
    const text = JSON.stringify({ listeners, tls: TLS, identity: IDENTITY });
    const before = loadConfig({ flags: {}, environment: {}, file: { path: 'g.yaml', text } });
    if (isRefusal(before)) throw new Error(before.detail);
    const again = loadConfig({ flags: {}, environment: {}, file: { path: 'g.yaml', text: printConfig(before) } });
    expect(again).toMatchObject({ config: before.config });
  });

  test('is taken from flags and environment as JSON', () => {
    const environment = { GRIDCAST_IDENTITY: JSON.stringify(IDENTITY), GRIDCAST_TOKEN: 'of the commands' };
    const loaded = loadConfig({ flags: { listeners: [JSON.stringify(at('http', '127.0.0.1'))] }, environment });
    if (isRefusal(loaded)) throw new Error(loaded.detail);
    expect(loaded.config).toMatchObject({
      listeners: [at('http', '127.0.0.1')],
      identity: { anonymous: true, apiKeys: [] },
    });
  });
});
