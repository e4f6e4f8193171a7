import { authority, parseTarget, pathAndQuery, resolve } from '../../src/client/target.js';

describe('a target', () => {
  test('takes the port of its scheme where the URI names none', () => {
    const ports = ['http://h', 'https://h', 'coap://h', 'ws://h', 'wss://h'].map((uri) => parseTarget(uri).port);
    expect(ports).toEqual([80, 443, 5683, 80, 443]);
  });

  test('has an IPv6 host without brackets, and an authority with them', () => {
    const target = parseTarget('coap://[::1]:5690/m2m');
    expect(target).toMatchObject({ host: '::1', port: 5690, path: '/m2m' });
    expect(authority(target)).toBe('[::1]:5690');
  });

  test.each([
    ['pmu-1', 'is not a URI'],
    ['ftp://h/x', 'has the scheme ftp; known are http, https, coap, ws, wss.'],
    ['coap:///m2m', 'names no host.'],
    ['http://me:secret@h/', 'has a user or a fragment'],
    ['ws://h/m2m#here', 'has a user or a fragment'],
  ])('is refused: %s', (uri, why) => {
    expect(() => parseTarget(uri)).toThrow(
      expect.objectContaining({ kind: 'argument', message: expect.stringContaining(why) }),
    );
  });

  test.each(['http://a:1', 'coap://a:1'])('%s resolves paths and whole URIs alike, keeping where it is', (uri) => {
    const base = parseTarget(uri);
    const wanted = '/m2m/x%20y?rate=5';
    expect(pathAndQuery(resolve(base, wanted))).toBe(wanted);
    expect(resolve(base, `${uri}${wanted}`)).toMatchObject({ host: 'a', port: 1, path: '/m2m/x%20y' });
  });
});
