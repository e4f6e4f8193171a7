import fc from 'fast-check';
import {
  CONFIG_KEYS,
  configPath,
  loadConfig,
  printConfig,
  type ConfigSources,
  type LoadedConfig,
} from '../src/config.js';
import { isRefusal } from '../src/errors.js';

const FILE = 'gridcast.yaml';
const sources = (
  flags: ConfigSources['flags'] = {},
  environment: ConfigSources['environment'] = {},
  text?: string,
): ConfigSources => ({
  flags,
  environment,
  ...(text !== undefined && { file: { path: FILE, text } }),
});

function loaded(from: ConfigSources): LoadedConfig {
  const config = loadConfig(from);
  if (isRefusal(config)) throw new Error(config.detail);
  return config;
}
function faults(from: ConfigSources): string[] {
  const config = loadConfig(from);
  return isRefusal(config) ? config.detail.split('\n') : [];
}

describe('the configuration', () => {
  test('of nobody is a self-contained NSCL on loopback', () => {
    const { config, origins } = loaded(sources());
    expect(config).toMatchObject({
      role: 'nscl',
      sclId: 'nscl',
      host: '127.0.0.1',
      http: 8080,
      coap: 5683,
      data: './gridcast-data',
      pmu: [],
    });
    expect(config).toMatchObject({ congestion: 'standard', plugtest: false, transport: 'auto', logLevel: 'info' });
    expect(config).toMatchObject({ lagS: 10, leadS: 5, longPollHoldS: 60, maxBodyBytes: 1_048_576 });
    expect(new Set(Object.values(origins))).toEqual(new Set(['default']));
  });

  test('takes each key from the first place that has it: flag, environment, file, default', () => {
    const file = '# site\nhttp: 1\ncoap: 2\nlagS: 3\n';
    const { config, origins } = loaded(
      sources({ http: '10', coap: undefined }, { GRIDCAST_HTTP: '20', GRIDCAST_COAP: '21' }, file),
    );
    expect([config.http, config.coap, config.lagS, config.leadS]).toEqual([10, 21, 3, 5]);
    expect([origins.http, origins.coap, origins.lagS, origins.leadS]).toEqual([
      '--http',
      'GRIDCAST_COAP',
      'gridcast.yaml line 4',
      'default',
    ]);
  });

  test('reads every kind of value alike from all three places', () => {
    const pmu = ['c37118+tcp://127.0.0.1:4712?idcode=60', 'c37118+udp://127.0.0.1:4713?idcode=61'];
    const expected = { http: 0, lagS: 2.5, plugtest: true, congestion: 'provisioned', pmu };
    const flags = { http: '0', lagS: '2.5', plugtest: true, congestion: 'provisioned', pmu };
    const environment = {
      GRIDCAST_HTTP: '0',
      GRIDCAST_LAG_S: '2.5',
      GRIDCAST_PLUGTEST: 'true',
      GRIDCAST_CONGESTION: 'provisioned',
      GRIDCAST_PMU: pmu.join(', '),
    };
    const file = `http: 0\nlagS: 2.5\nplugtest: true\ncongestion: provisioned\npmu:\n${pmu.map((uri) => `  - ${uri}\n`).join('')}`;
    for (const from of [sources(flags), sources({}, environment), sources({}, {}, file)])
      expect(loaded(from).config).toMatchObject(expected);
  });

  test('is printed as a file that gives the same configuration, with the origins', () => {
    const before = loaded(
      sources({ http: '0', pmu: ['c37118+tcp://127.0.0.1?idcode=1'] }, { GRIDCAST_DATA: '#1: "x"' }),
    );
    const printed = printConfig(before);
    expect(printed).toMatch(/^http: 0 +# --http$/m);
    expect(printed).toMatch(/^data: .* # GRIDCAST_DATA$/m);
    expect(loaded(sources({}, {}, printed)).config).toEqual(before.config);
  });

  test('file is the one named by flag or environment', () => {
    expect(configPath(sources({ config: 'a.yaml' }, { GRIDCAST_CONFIG: 'b.yaml' }))).toBe('a.yaml');
    expect(configPath(sources({}, { GRIDCAST_CONFIG: 'b.yaml' }))).toBe('b.yaml');
    expect(configPath(sources())).toBeUndefined();
    expect(faults(sources({}, { GRIDCAST_CONFIG: 'b.yaml' }))).toEqual([]);
  });

  test('knows localhost by its number', () => {
    expect(loaded(sources({ host: 'localhost' })).config.host).toBe('127.0.0.1');
    expect(loaded(sources({ host: '127.0.1.255' })).config.host).toBe('127.0.1.255');
    expect(faults(sources({ host: '127.0.0.256' }))).toHaveLength(1);
  });

  test('spells a key alike everywhere', () => {
    expect(CONFIG_KEYS.find(({ key }) => key === 'longPollHoldS')).toMatchObject({
      flag: '--long-poll-hold-s',
      variable: 'GRIDCAST_LONG_POLL_HOLD_S',
    });
  });
});

describe('a mistake in the configuration', () => {
  test.each<[string, ConfigSources, string]>([
    [
      'a flag',
      sources({ http: '80800' }),
      'http: 80800 (--http) is refused; it must be a port from 0 to 65535, 0 for any free one.',
    ],
    [
      'a word for a number',
      sources({ coap: 'x' }),
      'coap: "x" (--coap) is refused; it must be a port from 0 to 65535, 0 for any free one.',
    ],
    [
      'a variable',
      sources({}, { GRIDCAST_ROLE: 'hub' }),
      'role: "hub" (GRIDCAST_ROLE) is refused; it must be one of nscl, gscl, dscl.',
    ],
    [
      'the file',
      sources({}, {}, '\nplugtest: "true"\n'),
      'plugtest: "true" (gridcast.yaml line 2) is refused; it must be true or false.',
    ],
    ['a null', sources({}, {}, 'data:'), 'data: null (gridcast.yaml line 1) is refused; it must be a path.'],
    [
      'a slip in a key',
      sources({}, {}, 'role: nscl\nhtpp: 1'),
      'htpp (gridcast.yaml line 2) is no known key; did you mean http?',
    ],
    [
      'a slip in a variable',
      sources({}, { GRIDCAST_LAGS: '1' }),
      'GRIDCAST_LAGS (environment) is no known variable; did you mean GRIDCAST_LAG_S?',
    ],
    ['a repeated key', sources({}, {}, 'http: 1\nhttp: 2'), 'gridcast.yaml line 2: Map keys must be unique.'],
    ['a list for a file', sources({}, {}, '- http'), 'gridcast.yaml must be a map of keys, such as "http: 8080".'],
  ])('in %s is told with key, value, place and what is allowed', (_, from, sentence) => {
    expect(faults(from)).toEqual([sentence]);
  });

  test('far from every key is answered with the keys', () => {
    expect(faults(sources({}, {}, 'colour: red'))[0]).toMatch(
      /^colour \(gridcast.yaml line 1\) is no known key; known: role, sclId, /,
    );
  });

  test('does not hide the others', () => {
    expect(faults(sources({ http: '-1', pmu: ['tcp://x'] }, { GRIDCAST_LEAD_S: '0' }, 'colour: red'))).toHaveLength(4);
  });

  test.each(['0.0.0.0', '::', '192.168.0.1', 'example.org', ''])(
    'of listening on %j in the short form is refused',
    (host) => {
      expect(faults(sources({ host }))[0]).toMatch(
        /^host: .* \(--host\) is refused; it must be a loopback address .* others stand in listeners/,
      );
    },
  );

  test('in a file of any text gives a configuration or a refusal', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void loadConfig(sources({}, {}, text))));
  });
});
