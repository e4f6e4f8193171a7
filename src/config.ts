/**
 * The configuration, read once at start. Every key can be given in three places, and each key's value is the first of
 *
 *     flag --http 8081  >  environment GRIDCAST_HTTP=8081  >  file http: 8081  >  default
 *
 * with the spellings derived from the key: `lagS`, `--lag-s`, `GRIDCAST_LAG_S`. All mistakes are told at once, each with its
 * key, value, place and what is allowed. Keys with parts are written as JSON in a flag or variable.
 */
import { z } from 'zod';
import {
  channelFaults,
  identitySchema,
  listenersSchema,
  loopbackHost,
  tlsSchema,
  type IdentityConfig,
  type ListenerConfig,
  type TlsConfig,
} from './config-channels.js';
import { readConfigFile } from './config-file.js';
import { isRefusal, refuse, type Refusal } from './errors.js';

interface Key<Value> {
  readonly schema: z.ZodType<Value>;
  readonly fallback: NoInfer<Value>;
  /** What it is for, as in `--help`. */
  readonly purpose: string;
  /** What may stand there; follows "it must be". */
  readonly allowed: string;
}
const key = <Value>(
  schema: z.ZodType<Value>,
  fallback: NoInfer<Value>,
  purpose: string,
  allowed: string,
): Key<Value> => ({
  schema,
  fallback,
  purpose,
  allowed,
});
const oneOf = <const Word extends string>(words: readonly [Word, ...Word[]], purpose: string): Key<Word> =>
  key(z.enum(words), words[0], purpose, `one of ${words.join(', ')}`);
const yesOrNo = (purpose: string): Key<boolean> => key(z.boolean(), false, purpose, 'true or false');
const port = (fallback: number, purpose: string): Key<number> =>
  key(z.int().min(0).max(LARGEST_PORT), fallback, purpose, `a port from 0 to ${LARGEST_PORT}, 0 for any free one`);
const seconds = (limit: number, fallback: number, purpose: string): Key<number> =>
  key(z.number().positive().max(limit), fallback, purpose, `a number of seconds above 0 and up to ${limit}`);

const count = (least: 0 | 1, fallback: number, purpose: string): Key<number> =>
  key(z.int().min(least).max(LARGEST_COUNT), fallback, purpose, `a whole number from ${least} to ${LARGEST_COUNT}`);

const LARGEST_PORT = 65_535;
const LARGEST_COUNT = 1_000_000_000;
const HOUR_S = 3600;
export const LONGEST_HISTORY_S = 10 * 365 * 24 * HOUR_S;
const MIB = 1024 * 1024;
/** An id is one segment of a path. */
const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const ADMINISTRATOR = /^(?!anonymous$)[\w.:@/-]{1,128}$/;
/** Only what no binding could ever take is refused here; the protocol's own reader tells the rest. */
const PMU_URI = /^c37118\+(tcp|udp):\/\//;
const RECEIVER_URI = /^c37118\+udp:\/\/.+\?idcode=\d+(&configuration=[23])?$/;

/** A second's samples would meet the next second's. */
const LONGEST_SPREAD_MS = 1000;

const KEYS = {
  role: oneOf(['nscl', 'gscl', 'dscl'], 'service capability layer: of the network, a gateway or a device'),
  sclId: key(
    z.string().regex(ID),
    'nscl',
    'id of this layer',
    'up to 64 letters, digits, ".", "_" and "-", the first a letter or digit',
  ),
  host: key(
    loopbackHost,
    '127.0.0.1',
    'address to listen on',
    'a loopback address (127.0.0.1, ::1, localhost); others stand in listeners, with their network',
  ),
  http: port(8080, 'port of HTTP and WebSocket'),
  coap: port(5683, 'port of CoAP'),
  c37118Out: key<number | 'off'>(
    z.union([
      z.literal('off'),
      z.int().min(0).max(LARGEST_PORT),
      // Of a flag or variable: text stays text where the default is none of the number's kind.
      z
        .string()
        .regex(/^\d{1,5}$/)
        .transform(Number)
        .pipe(z.int().max(LARGEST_PORT)),
    ]),
    'off',
    'TCP port where legacy concentrators take PMUs and groups as C37.118 streams',
    `off, or a port from 0 to ${LARGEST_PORT}, 0 for any free one`,
  ),
  c37118To: key<readonly string[]>(
    z.array(z.string().regex(RECEIVER_URI)),
    [],
    'where a C37.118 stream is sent over UDP, unasked; may be repeated',
    'a list of c37118+udp://192.0.2.9:4713?idcode=60, with &configuration=3 for CFG-3',
  ),
  listeners: key<readonly ListenerConfig[]>(
    listenersSchema,
    [],
    'all places to listen at, instead of host, http and coap',
    'a list of {protocol: http|https|coap, host: 192.0.2.1, port: 8443, network: loopback|private|public}',
  ),
  tls: key<TlsConfig>(
    tlsSchema,
    null,
    'certificate of https and wss, and whether clients show theirs',
    '{certificate: FILE, key: FILE, clientCa: FILE, clientCertificates: none|optional|required}',
  ),
  identity: key<IdentityConfig>(
    identitySchema,
    null,
    'who is let in, by which tokens',
    '{apiKeys: [{originator, sha256}], jwt: {issuer, audience, keys: FILE, algorithms: [EdDSA, ES256, RS256]}, anonymous: true|false}',
  ),
  data: key(z.string().min(1), './gridcast-data', 'folder of the store', 'a path'),
  rights: oneOf(
    ['open', 'enforced'],
    'access rights: everybody may do everything, or what accessRights in the tree grant',
  ),
  administrators: key<readonly string[]>(
    z.array(z.string().regex(ADMINISTRATOR)),
    [],
    'originators that may do everything when rights are enforced',
    'a list of originators, none of them "anonymous", which is everybody',
  ),
  pmu: key<readonly string[]>(
    z.array(z.string().regex(PMU_URI)),
    [],
    'PMU stream to attach; may be repeated; PMUs that send unasked share a port, as idcode=1-1000&mode=spontaneous',
    'a list of c37118+tcp://host:port?idcode=60 or c37118+udp://host:port?idcode=60',
  ),
  pmuHistoryS: key(
    z.int().min(0).max(LONGEST_HISTORY_S),
    0,
    'seconds of history that an attached PMU has on disk, if its address does not say; 0: its last 10 s in memory',
    `whole seconds from 0 to ${LONGEST_HISTORY_S}`,
  ),
  congestion: oneOf(
    ['standard', 'provisioned'],
    'CoAP congestion control: of the Internet, or of a dimensioned network',
  ),
  spreadMs: key(
    z.int().min(0).max(LONGEST_SPREAD_MS),
    0,
    'milliseconds over which a burst of CoAP notifications is spread; 0: all at once',
    `whole milliseconds from 0 to ${LONGEST_SPREAD_MS}`,
  ),
  plugtest: yesOrNo('serve the resources of the ETSI CoAP plugtests'),
  transport: oneOf(['auto', 'uws', 'node'], 'library under HTTP and WebSocket'),
  logLevel: oneOf(
    ['info', 'fatal', 'error', 'warn', 'debug', 'trace', 'silent'],
    'least important line that is logged',
  ),
  lagS: seconds(HOUR_S, 10, 'how far behind the local clock a time tag is believed'),
  leadS: seconds(HOUR_S, 5, 'how far ahead of the local clock a time tag is believed'),
  longPollHoldS: seconds(HOUR_S, 60, 'how long a long poll is held while there is nothing to tell'),
  // Ten times a million gateways: what is refused there is a mistake of somebody's, and else would fill the memory.
  maxResources: count(1, 10_000_000, 'resources that others may have created here, contentInstances apart'),
  maxResourcesPerOriginator: count(0, 0, 'of these, by one originator; 0: no limit of his own'),
  maxSubscriptions: count(1, 1_000_000, 'subscriptions that may stand here'),
  maxSubscriptionsPerResource: count(1, 20_000, 'subscriptions that may stand at one resource'),
  maxBodyBytes: key(
    z
      .int()
      .min(1024)
      .max(64 * MIB),
    MIB,
    'largest body of a request over HTTP and WebSocket',
    `whole bytes from 1024 to ${64 * MIB}`,
  ),
};

export type ConfigKey = keyof typeof KEYS;
export type Config = { readonly [Name in ConfigKey]: (typeof KEYS)[Name]['fallback'] };

/** One line of `serve --help` and of the documents: a key in all its spellings. */
export interface ConfigKeyRow {
  readonly key: ConfigKey;
  readonly flag: string;
  readonly variable: string;
  readonly fallback: Config[ConfigKey];
  readonly purpose: string;
  readonly allowed: string;
}

const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const NAMES = Object.keys(KEYS) as ConfigKey[];
export const CONFIG_KEYS: readonly ConfigKeyRow[] = NAMES.map((name) => {
  const { fallback, purpose, allowed } = KEYS[name];
  return {
    key: name,
    flag: `--${dashed(name)}`,
    variable: `GRIDCAST_${dashed(name).replace(/-/g, '_').toUpperCase()}`,
    fallback,
    purpose,
    allowed,
  };
});

/** Names the file; being where the file is looked up, it can not stand in it. */
const FILE_VARIABLE = 'GRIDCAST_CONFIG';
/** That, and those of the commands that talk to a broker: no keys. */
const OTHER_VARIABLES: readonly string[] = [FILE_VARIABLE, 'GRIDCAST_TOKEN'];

export interface ConfigSources {
  /** By key, as the command line gave them: text, lists of text, `true`; what was not given is undefined or missing. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file?: { readonly path: string; readonly text: string };
}

export interface LoadedConfig {
  readonly config: Config;
  /** `--http`, `GRIDCAST_HTTP`, `gridcast.yaml line 3` or `default`. */
  readonly origins: Readonly<Record<ConfigKey, string>>;
}

/** A value as it was given, and where. */
interface Given {
  readonly value: unknown;
  readonly origin: string;
}

/** Path of the configuration file, if one was named. */
export const configPath = ({ flags, environment }: Pick<ConfigSources, 'flags' | 'environment'>): string | undefined =>
  typeof flags.config === 'string' ? flags.config : environment[FILE_VARIABLE];

/** Puts the sources together. The refusal's detail has a line per mistake. */
export function loadConfig({ flags, environment, file }: ConfigSources): LoadedConfig | Refusal {
  const faults: string[] = [];
  const inFile = file ? readConfigFile(file.path, file.text) : new Map<string, Given>();
  if (isRefusal(inFile)) return inFile;
  for (const [name, { origin }] of inFile) {
    if (!NAMES.includes(name as ConfigKey)) faults.push(unknownName('key', name, origin, NAMES));
  }
  const variables = CONFIG_KEYS.map(({ variable }) => variable);
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('GRIDCAST_') || OTHER_VARIABLES.includes(name) || variables.includes(name)) continue;
    faults.push(unknownName('variable', name, 'environment', variables));
  }

  const config: Partial<Record<ConfigKey, unknown>> = {};
  const origins: Partial<Record<ConfigKey, string>> = {};
  for (const { key: name, flag, variable, fallback } of CONFIG_KEYS) {
    const given = typed(flags[name], flag, fallback) ??
      typed(environment[variable], variable, fallback) ??
      inFile.get(name) ?? { value: fallback, origin: 'default' };
    const { schema, allowed } = KEYS[name];
    const parsed = schema.safeParse(given.value);
    if (parsed.success) {
      config[name] = parsed.data;
      origins[name] = given.origin;
    } else {
      faults.push(
        `${name}: ${faultIn(given.value, parsed.error)} (${given.origin}) is refused; it must be ${allowed}.`,
      );
    }
  }
  if (faults.length === 0) {
    // Every key is there: no fault.
    const whole = config as Config;
    const isTwice = whole.listeners.length > 0 && SHORT_FORM.some((name) => whole[name] !== KEYS[name].fallback);
    if (isTwice) faults.push('listeners: it stands instead of host, http and coap; give one or the others.');
    faults.push(...channelFaults(whole));
  }
  if (faults.length > 0) return refuse('STATUS_BAD_REQUEST', faults.join('\n'));
  return { config: config as Config, origins: origins as LoadedConfig['origins'] }; // every key is there: no fault
}

const SHORT_FORM = ['host', 'http', 'coap'] as const;

/** The value; of one with parts, which part: the whole might hold what was meant to be secret. */
function faultIn(value: unknown, { issues }: z.ZodError): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const [issue] = issues;
  return issue ? `${issue.path.length > 0 ? `${issue.path.join('.')}: ` : ''}${issue.message}` : 'its value';
}

/** The configuration as a file that gives the same one, with the origin of each value beside it. */
export function printConfig({ config, origins }: LoadedConfig): string {
  const lines = NAMES.map((name) => ({ setting: `${name}: ${JSON.stringify(config[name])}`, origin: origins[name] }));
  const width = Math.max(...lines.map(({ setting }) => setting.length));
  return lines.map(({ setting, origin }) => `${setting.padEnd(width)}  # ${origin}\n`).join('');
}

/** Text of a flag or variable as the kind of value that the key has; what is not of that kind stays text and is refused as such. */
function typed(value: unknown, origin: string, fallback: Config[ConfigKey]): Given | undefined {
  if (value === undefined) return undefined;
  if (Array.isArray(value)) return { value: value.map(fromJson), origin };
  if (typeof value !== 'string') return { value, origin };
  if (typeof fallback === 'object' && typeof fromJson(value) === 'object') return { value: fromJson(value), origin };
  if (Array.isArray(fallback))
    return { value: value === '' ? [] : value.split(',').map((item) => item.trim()), origin };
  if (typeof fallback === 'number' && /^-?\d+(\.\d+)?$/.test(value)) return { value: Number(value), origin };
  if (typeof fallback === 'boolean' && (value === 'true' || value === 'false'))
    return { value: value === 'true', origin };
  return { value, origin };
}

/** Of a key with parts; what is no JSON object or list stays text. */
function fromJson(text: unknown): unknown {
  if (typeof text !== 'string' || !/^\s*(\[|\{|null$)/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function unknownName(kind: string, name: string, origin: string, known: readonly string[]): string {
  const [nearest] = known
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  const isNear = nearest !== undefined && nearest.distance <= LARGEST_SLIP;
  const advice = isNear ? `did you mean ${nearest.candidate}?` : `known: ${known.join(', ')}.`;
  return `${name} (${origin}) is no known ${kind}; ${advice}`;
}

/** Letters that a slip of the finger changes; beyond it a proposal is a guess. */
const LARGEST_SLIP = 3;

/** How many letters must be added, taken away or changed to make one word of the other; case does not count. */
function editDistance(one: string, other: string): number {
  const [letters, opposites] = [Array.from(one.toLowerCase()), Array.from(other.toLowerCase())];
  let row = Array.from({ length: opposites.length + 1 }, (_, column) => column);
  for (const [line, letter] of letters.entries()) {
    const next = [line + 1];
    for (const [column, opposite] of opposites.entries()) {
      // A row has one entry more than there are opposites.
      const [changed, dropped, added] = [row[column]!, row[column + 1]!, next[column]!];
      next.push(Math.min(changed + (letter === opposite ? 0 : 1), dropped + 1, added + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
