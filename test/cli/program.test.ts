/** What is said to whom uses the program wrongly, and with which exit code; nothing here needs a broker. */
import { runProgram } from '../../src/cli/program.js';
import type { Shell } from '../../src/cli/shell.js';
import { systemClock } from '../../src/clock.js';
import { systemNetwork } from '../../src/network.js';

async function run(...words: string[]) {
  const [out, complaints]: [string[], string[]] = [[], []];
  const shell: Shell = {
    clock: systemClock,
    isTerminal: false,
    interrupted: new AbortController().signal,
    print: (line) => out.push(line),
    write: (bytes) => out.push(Buffer.from(bytes).toString()),
    note: () => {},
    complain: (line) => complaints.push(line),
    paint: (_style, text) => text,
  };
  const exitCode = await runProgram(words, shell);
  return { exitCode, out: out.join('\n'), complaint: complaints.join('\n') };
}

describe('used wrongly, it ends with 2 and a sentence', () => {
  test.each([
    ['an unknown command', ['obserf'], "unknown command 'obserf'\n(Did you mean observe?)"],
    ['an unknown option', ['observe', 'coap://h/x', '--raet', '5'], "unknown option '--raet'\n(Did you mean --rate?)"],
    ['no URI', ['observe'], "missing required argument 'URI'"],
    ['no URI at all', ['get', 'pmu-1'], '"pmu-1" is not a URI; expected something like coap://127.0.0.1:5683/m2m.'],
    ['a scheme nobody speaks', ['get', 'mqtt://h/x'], 'has the scheme mqtt; known are http, https, coap, ws, wss.'],
    ['metrics over CoAP', ['top', 'coap://h'], 'Expected a URI with http://, https://.'],
    ['a device over HTTP', ['sim', 'device', 'http://h/m2m/applications/a'], 'Expected a URI with ws://, wss://.'],
    ['a rate of 0', ['observe', 'coap://h/x', '--rate', '0'], 'Expected a number above 0, such as 5, 0.5 or 1/10.'],
    ['a negative rate', ['observe', 'coap://h/x', '--rate', '-5'], 'Expected a number above 0'],
    ['a rate in words', ['observe', 'coap://h/x', '--rate', 'fast'], 'Expected a number above 0'],
    ['a broken count', ['observe', 'coap://h/x', '-n', '1.5'], 'Expected a whole number of at least 1.'],
    [
      'a format nobody knows',
      ['observe', 'coap://h/x', '--accept', 'asn1'],
      'Expected a media type, or one of json, cbor, senml+json',
    ],
    [
      'a class nobody knows',
      ['observe', 'coap://h/x', '--class', 'urgent'],
      'Allowed choices are protection, control, monitoring, reporting.',
    ],
    [
      'a command without a point',
      ['command', 'ws://h/m2m/applications/a'],
      'A command needs --point, or the --id of one that was given before.',
    ],
    ['two bodies', ['post', 'http://h/x', '{}', '--file', 'x.json'], 'Give the body or --file, not both.'],
    [
      'a port out of range',
      ['serve', '--http', '70000'],
      'http: 70000 (--http) is refused; it must be a port from 0 to 65535',
    ],
    ['an address that is not loopback', ['serve', '--host', '0.0.0.0'], 'it must be a loopback address'],
    [
      'a file that is not there',
      ['serve', '--config', '/nowhere.yaml'],
      "--config: ENOENT: no such file or directory, open '/nowhere.yaml'.",
    ],
    ['a PMU that is no URI', ['serve', '--pmu', '127.0.0.1:4712'], 'c37118+tcp://host:port?idcode=60'],
    [
      'a simulator on a wrong transport',
      ['sim', 'pmu', '--listen', 'sctp://h:1'],
      '--listen is tcp://HOST:PORT or udp://HOST:PORT',
    ],
    ['an unknown disturbance', ['sim', 'pmu', '--disturb', 'quake'], 'There is no disturbance "quake"'],
    ['a replay without streams', ['sim', 'replay', 'x.pcap'], '--listen and --stream go in pairs'],
  ])('%s', async (_what, words, sentence) => {
    const { exitCode, complaint, out } = await run(...words);
    expect(complaint).toContain(sentence);
    expect(exitCode).toBe(2);
    expect(out).toBe('');
  });
});

describe('failed, it ends with 1 and a sentence', () => {
  let port: number;
  beforeAll(async () => {
    const taken = await systemNetwork.listenTcp({ host: '127.0.0.1', port: 0 }, (connection) => connection.close());
    ({ port } = taken.local);
    await taken.close();
  });

  test.each(['http', 'ws'])('a broker that is not there, over %s', async (scheme) => {
    const { exitCode, complaint } = await run('get', `${scheme}://127.0.0.1:${port}/m2m`);
    expect(complaint).toMatch(new RegExp(`^gridcast: .*127\\.0\\.0\\.1:${port}.*ECONNREFUSED`));
    expect(exitCode).toBe(1);
  });

  test('a broker that is not there, over coap', async () => {
    const { exitCode, complaint } = await run('get', `coap://127.0.0.1:${port}/m2m`, '--timeout', '0.2');
    expect(complaint).toBe(`gridcast: 127.0.0.1:${port} did not answer over CoAP within 200 ms.`);
    expect(exitCode).toBe(1);
  });

  test('a port that is taken', async () => {
    const taken = await systemNetwork.listenTcp({ host: '127.0.0.1', port: 0 }, (connection) => connection.close());
    const { exitCode, complaint } = await run('sim', 'pmu', '--listen', `tcp://127.0.0.1:${taken.local.port}`);
    await taken.close();
    expect(complaint).toContain('EADDRINUSE');
    expect(exitCode).toBe(1);
  });

  test('a capture that is not there', async () => {
    const { exitCode, complaint } = await run(
      'sim',
      'replay',
      '/nowhere.pcap',
      '--listen',
      'udp://127.0.0.1:0',
      '--stream',
      '60',
    );
    expect(complaint).toContain('/nowhere.pcap');
    expect(exitCode).toBe(1);
  });
});

describe('asked for help, it ends with 0', () => {
  test.each([
    'serve',
    'demo',
    'sim pmu',
    'sim replay',
    'sim device',
    'get',
    'post',
    'put',
    'delete',
    'observe',
    'command',
    'tree',
    'top',
  ])('%s --help has an example', async (command) => {
    const { exitCode, out, complaint } = await run(...command.split(' '), '--help');
    expect(exitCode).toBe(0);
    expect(complaint).toBe('');
    expect(out).toContain(`Usage: gridcast ${command}`);
    expect(out).toMatch(new RegExp(`Examples?:\\n  gridcast ${command}`));
  });

  test('--version is that of the package', async () => {
    const { exitCode, out } = await run('--version');
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test('serve --help has every key of the configuration', async () => {
    const { CONFIG_KEYS } = await import('../../src/config.js');
    const { out } = await run('serve', '--help');
    for (const { flag } of CONFIG_KEYS) expect(out).toContain(flag);
  });

  test('serve --print-config tells each value and where it comes from, and listens nowhere', async () => {
    const { exitCode, out } = await run('serve', '--http', '8081', '--print-config');
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^http: 8081 +# --http$/m);
    expect(out).toMatch(/^coap: 5683 +# default$/m);
  });
});
