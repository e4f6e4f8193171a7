/**
 * Who may import whom, as a table and one check. `faultsOf` takes the import lines of all files, real or made up, and gives a
 * sentence per line that breaks a rule.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';

/** A source file by its path from the project's root, and what it imports: such paths, or packages. */
export interface SourceFile {
  readonly path: string;
  readonly imports: readonly string[];
}

const root = (...names: string[]): string[] => names.map((name) => `src/${name}.ts`);

/** Highest first; a floor's rooms do not see each other. What ends in `/` is a folder with all below it. */
const FLOORS: readonly (readonly (readonly string[])[])[] = [
  [['src/cli/']],
  [root('main'), ['src/sim/']],
  [root('broker', 'resource-events', 'listeners', 'security', 'sources', 'figures', 'couriers'), ['src/client/']],
  [['src/protocols/'], ['src/actors/']],
  [['src/routing/']],
  [['src/resources/'], ['src/kernel/'], ['src/store/']],
  [
    [
      'src/network/',
      ...root(
        'clock',
        'errors',
        'json',
        'log',
        'metrics',
        'config',
        'config-channels',
        'config-file',
        'network',
        'random',
        'disk',
      ),
    ],
  ],
];

const BINDINGS = ['http', 'coap', 'ws', 'c37118'].map((name) => `src/protocols/${name}/`);
/** Under the bindings: they know no binding. */
const BELOW_BINDINGS = /^src\/protocols\/([^/]+\.ts$|transport\/)/;

/** What only the broker's side knows. Clients and simulators meet it over the wire; a device keeps a journal of its own, locked. */
const BROKER_SIDE =
  /^src\/((broker|resource-events|listeners|security|sources|figures|main)\.ts|actors\/|kernel\/|resources\/|store\/(?!(journal|journal-reader|segments?|frame|folder-lock)\.ts)|routing\/(site|delivery|router|group|dispatcher)\.ts)/;
const OVER_THE_WIRE = ['src/client/', 'src/sim/'];

/** A third-party package has one import site, or stands here. */
const SEVERAL_SITES: Readonly<Record<string, { readonly sites: readonly string[]; readonly why: string }>> = {
  'classic-level': { sites: ['src/store/'], why: 'the index of the history, and the locks of folders' },
  commander: { sites: ['src/cli/'], why: 'each command declares its own arguments' },
  zod: { sites: ['src/config.ts', 'src/config-channels.ts'], why: 'one configuration in two files' },
  ws: { sites: ['src/protocols/transport/node.ts', 'src/client/'], why: 'one package is server and client' },
};

/** The outside world has seams, so that tests can stand in for it. */
const SEAMS: Readonly<Record<string, readonly string[]>> = {
  'node:dgram': ['src/network/udp.ts'],
  'node:net': ['src/network.ts', 'src/protocols/transport/'],
  'node:http': ['src/protocols/transport/', 'src/client/'],
  'node:https': ['src/protocols/transport/', 'src/client/'],
  'node:tls': ['src/protocols/transport/', 'src/client/'],
  'node:fs': ['src/disk.ts'],
  'node:fs/promises': ['src/disk.ts'],
  'node:timers': [],
  'node:timers/promises': [],
  'node:child_process': ['src/cli/'],
};

const isIn = (place: string, path: string): boolean => (place.endsWith('/') ? path.startsWith(place) : path === place);
const isInAny = (places: readonly string[], path: string): boolean => places.some((place) => isIn(place, path));

interface Place {
  readonly floor: number;
  readonly room: readonly string[];
}

function placeOf(path: string): Place | undefined {
  for (const [index, rooms] of FLOORS.entries()) {
    const room = rooms.find((places) => isInAny(places, path));
    if (room) return { floor: FLOORS.length - index, room };
  }
  return undefined;
}

export function faultsOf(files: readonly SourceFile[]): string[] {
  const homeless = files.filter(({ path }) => !placeOf(path));
  return [
    ...homeless.map(({ path }) => `${path} stands on no floor: give it one in the table of floors.`),
    ...files.flatMap(({ path, imports }) => imports.flatMap((target) => faultsOfImport(path, target))),
    ...wireFaults(files),
    ...siteFaults(files),
  ];
}

function faultsOfImport(path: string, target: string): string[] {
  const line = `${path} imports ${target}`;
  const allowed = SEAMS[target];
  if (allowed && !isInAny(allowed, path))
    return [`${line}: the outside world is reached through ${allowed.join(' and ') || 'src/clock.ts'} only.`];
  if (!target.startsWith('src/')) return [];
  const [from, to] = [placeOf(path), placeOf(target)];
  if (!from) return []; // told once, of the file
  if (!to) return [`${line}, which stands on no floor: give it one in the table of floors.`];
  if (to.room !== from.room && to.floor >= from.floor) {
    return [
      `${line}: floor ${from.floor} may not use floor ${to.floor}; a file imports from its own folder or from a lower floor.`,
    ];
  }
  const [binding, other] = [
    BINDINGS.find((folder) => isIn(folder, path)),
    BINDINGS.find((folder) => isIn(folder, target)),
  ];
  if (binding !== undefined && other !== undefined && binding !== other)
    return [`${line}: no binding imports another.`];
  if (other !== undefined && BELOW_BINDINGS.test(path)) return [`${line}: codecs and transports know no binding.`];
  return [];
}

/** Directly or through others: a client that drags the broker along is no client. */
function wireFaults(files: readonly SourceFile[]): string[] {
  const importsOf = new Map(files.map(({ path, imports }) => [path, imports]));
  return files
    .filter(({ path }) => isInAny(OVER_THE_WIRE, path))
    .flatMap(({ path }) => {
      const way = wayInto(BROKER_SIDE, path, importsOf);
      return way
        ? [
            `${way.join(' imports ')}: client and sim reach the broker over the wire, and use only codecs and endpoints of protocols.`,
          ]
        : [];
    });
}

function wayInto(
  forbidden: RegExp,
  start: string,
  importsOf: ReadonlyMap<string, readonly string[]>,
): readonly string[] | undefined {
  const ways: string[][] = [[start]];
  const seen = new Set([start]);
  for (const way of ways) {
    for (const target of importsOf.get(way.at(-1) ?? '') ?? []) {
      if (seen.has(target)) continue;
      seen.add(target);
      if (forbidden.test(target)) return [...way, target];
      ways.push([...way, target]);
    }
  }
  return undefined;
}

function siteFaults(files: readonly SourceFile[]): string[] {
  const sites = new Map<string, string[]>();
  for (const { path, imports } of files) {
    for (const name of new Set(imports.filter((target) => !target.startsWith('src/') && !target.startsWith('node:')))) {
      sites.set(name, [...(sites.get(name) ?? []), path]);
    }
  }
  return [...sites].flatMap(([name, paths]) => {
    const exception = SEVERAL_SITES[name];
    const strays = exception ? paths.filter((path) => !isInAny(exception.sites, path)) : paths.length > 1 ? paths : [];
    return strays.length === 0
      ? []
      : [`${name} is imported by ${strays.join(', ')}: a package has one import site, or several with a reason.`];
  });
}

/** `import ... from 'x'`, `export ... from 'x'`, `import 'x'`, `import('x')` and `require('x')`. */
const IMPORT = /(?:\bfrom\s+|\bimport\s*\(?\s*|\brequire\(\s*)'([^']+)'/g;

/** Every file below `folder`, with its imports resolved: `../clock.js` of src/kernel/cell.ts is src/clock.ts. */
export function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => posix.join(folder, name))
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({ path, imports: importsOfText(path, readFileSync(path, 'utf8')) }));
}

export function importsOfText(path: string, text: string): string[] {
  return [...text.matchAll(IMPORT)].map(([, target = '']) =>
    target.startsWith('.') ? posix.join(posix.dirname(path), target).replace(/\.js$/, '.ts') : target,
  );
}
