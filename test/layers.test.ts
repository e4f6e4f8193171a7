import { faultsOf, importsOfText, sourceFiles, type SourceFile } from './support/layers.js';

const file = (path: string, ...imports: string[]): SourceFile => ({ path, imports });

describe('the layers', () => {
  test('hold in src', () => {
    const files = sourceFiles('src');
    expect(files.length).toBeGreaterThan(50);
    expect(files.flatMap(({ imports }) => imports).length).toBeGreaterThan(200);
    expect(faultsOf(files)).toEqual([]);
  });

  test('let a file use its own folder and all lower floors', () => {
    const files = [
      file('src/cli/serve.ts', 'src/cli/shell.ts', 'src/main.ts', 'src/clock.ts', 'commander'),
      file('src/cli/get.ts', 'commander'),
      file('src/protocols/coap/binding.ts', 'src/protocols/codec.ts', 'src/routing/site.ts', 'src/errors.ts'),
      file('src/protocols/http/binding.ts', 'src/protocols/transport/transport.ts'),
      file('src/client/coap.ts', 'src/protocols/coap/endpoint.ts'),
      file('src/config.ts', 'src/errors.ts', 'zod'),
    ];
    expect(faultsOf(files)).toEqual([]);
  });

  test.each([
    [
      'upward',
      [file('src/routing/router.ts', 'src/actors/resource.ts')],
      'src/routing/router.ts imports src/actors/resource.ts: floor 3 may not use floor 4; a file imports from its own folder or from a lower floor.',
    ],
    [
      'sideways',
      [file('src/protocols/codec.ts', 'src/actors/resource.ts')],
      'src/protocols/codec.ts imports src/actors/resource.ts: floor 4 may not use floor 4; a file imports from its own folder or from a lower floor.',
    ],
    [
      'from the ground',
      [file('src/clock.ts', 'src/kernel/cell.ts')],
      'src/clock.ts imports src/kernel/cell.ts: floor 1 may not use floor 2; a file imports from its own folder or from a lower floor.',
    ],
    [
      'binding to binding',
      [file('src/protocols/http/binding.ts', 'src/protocols/ws/frame.ts')],
      'src/protocols/http/binding.ts imports src/protocols/ws/frame.ts: no binding imports another.',
    ],
    [
      'codec to binding',
      [file('src/protocols/codec.ts', 'src/protocols/coap/message.ts')],
      'src/protocols/codec.ts imports src/protocols/coap/message.ts: codecs and transports know no binding.',
    ],
    [
      'no floor',
      [file('src/misc.ts', 'src/clock.ts', 'src/errors.ts')],
      'src/misc.ts stands on no floor: give it one in the table of floors.',
    ],
    [
      'to no floor',
      [file('src/cli/get.ts', 'src/misc.ts')],
      'src/cli/get.ts imports src/misc.ts, which stands on no floor: give it one in the table of floors.',
    ],
    [
      'round a seam',
      [file('src/actors/source.ts', 'node:net')],
      'src/actors/source.ts imports node:net: the outside world is reached through src/network.ts and src/protocols/transport/ only.',
    ],
    [
      'two sites of a package',
      [file('src/log.ts', 'pino'), file('src/main.ts', 'pino')],
      'pino is imported by src/log.ts, src/main.ts: a package has one import site, or several with a reason.',
    ],
    [
      'a stray site',
      [file('src/main.ts', 'commander')],
      'commander is imported by src/main.ts: a package has one import site, or several with a reason.',
    ],
    [
      'a client that knows the broker, through others',
      [
        file('src/sim/fleet.ts', 'src/protocols/coap/binding.ts'),
        file('src/protocols/coap/binding.ts', 'src/routing/site.ts'),
      ],
      'src/sim/fleet.ts imports src/protocols/coap/binding.ts imports src/routing/site.ts: client and sim reach the broker over the wire, and use only codecs and endpoints of protocols.',
    ],
  ])('name the import that goes %s', (_, files, sentence) => {
    expect(faultsOf(files)).toEqual([sentence]);
  });

  test('are read from every form of import', () => {
    const text = `
      import { a } from './a.js';
      import type {
        B,
      } from '../b.js';
      import 'c';
      export * from "ignored: the house quotes singly";
      export { d } from './d/index.js';
      const e = await import('e');
      const f = require('f');`;
    expect(importsOfText('src/kernel/x.ts', text)).toEqual([
      'src/kernel/a.ts',
      'src/b.ts',
      'c',
      'src/kernel/d/index.ts',
      'e',
      'f',
    ]);
  });
});
