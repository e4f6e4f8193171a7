/**
 * What of the security stands in files: certificates, and the keys that tokens are signed with. Read at the start, and again
 * when asked to, or when they have changed.
 *
 *     files ──> read, and checked together ──> all good: in place from now on, nothing is dropped
 *                            └─ any bad: told, and all stays as it was
 *
 * They are looked at, not watched: whoever renews certificates may replace a file, a link or the folder that a link leads to, on a disk
 * that tells nobody of it.
 */
import { every, type Cancel, type Clock } from './clock.js';
import type { Config } from './config.js';
import type { Disk } from './disk.js';
import { isRefusal, reasonOf, refuse, type Refusal } from './errors.js';
import { believe, identifyBy, type Identify } from './protocols/identity.js';
import { jwtVerifier } from './protocols/jwt.js';
import { Credentials, faultOf, type CredentialFiles } from './protocols/transport/tls.js';

type Sources = Pick<Config, 'identity' | 'tls'>;

/** A renewal shows within twice this: what is found changed must be found the same again, as it may be written in parts. */
const LOOK_EVERY_MS = 5_000;

/** The files by the configuration's name for each. */
type Texts = ReadonlyMap<string, string>;

interface Loaded {
  readonly texts: Texts;
  readonly identify: Identify;
  readonly files: CredentialFiles | undefined;
}

/** What a listener needs of it. */
export type ChannelSecurity = Pick<Security, 'identify' | 'credentials'>;

/** Nothing is configured. */
export const OPEN: ChannelSecurity = { identify: believe, credentials: undefined };

export class Security {
  /** What https shows; absent where no certificate is configured. */
  readonly credentials: Credentials | undefined;

  private constructor(
    private readonly config: Sources,
    private readonly disk: Disk,
    private readonly clock: Clock,
    private loaded: Loaded,
  ) {
    const { files } = loaded;
    this.credentials = files && config.tls ? new Credentials(files, config.tls.clientCertificates) : undefined;
  }

  /** Refused where a file cannot be read, or is not what it should be. */
  static async open(config: Sources, disk: Disk, clock: Clock): Promise<Security | Refusal> {
    const loaded = await load(config, disk, clock);
    return isRefusal(loaded) ? loaded : new Security(config, disk, clock, loaded);
  }

  /** Whether there is anything to read again. */
  get hasFiles(): boolean {
    return this.config.tls !== null || this.config.identity?.jwt !== undefined;
  }

  /** By the keys that were read last. */
  readonly identify = ((claim) => this.loaded.identify(claim)) as Identify; // it forwards, and so keeps both overloads

  /** Refused: nothing has changed. */
  async reload(): Promise<Refusal | undefined> {
    const loaded = await load(this.config, this.disk, this.clock);
    if (isRefusal(loaded)) return loaded;
    this.take(loaded);
    return undefined;
  }

  /**
   * Looks at the files from now on, and takes what has changed.
   *
   * @param taken called each time they have, or why what is there now is not taken: once for each state that they are in
   */
  watch(taken: (refusal?: Refusal) => void): Cancel {
    const { config, disk, clock } = this;
    let [found, judged] = [this.loaded.texts, this.loaded.texts];
    let isLooking = false;
    const look = async (): Promise<void> => {
      const texts = await read(config, disk);
      // A file that is not there is one that is being replaced, and else is missed at the next reload.
      if (isRefusal(texts)) return;
      const isSettled = isSame(texts, found);
      found = texts;
      if (!isSettled || isSame(texts, judged) || isSame(texts, this.loaded.texts)) return;
      judged = texts;
      const loaded = understand(texts, config, clock);
      if (!isRefusal(loaded)) this.take(loaded);
      taken(isRefusal(loaded) ? loaded : undefined);
    };
    return every(clock, LOOK_EVERY_MS, () => {
      if (isLooking) return;
      isLooking = true;
      void look().finally(() => (isLooking = false));
    });
  }

  private take(loaded: Loaded): void {
    this.loaded = loaded;
    if (loaded.files) this.credentials?.renew(loaded.files);
  }
}

async function load(config: Sources, disk: Disk, clock: Clock): Promise<Loaded | Refusal> {
  const texts = await read(config, disk);
  return isRefusal(texts) ? texts : understand(texts, config, clock);
}

async function read({ identity, tls }: Sources, disk: Disk): Promise<Texts | Refusal> {
  const paths: readonly (readonly [key: string, path: string | undefined])[] = [
    [CERTIFICATE, tls?.certificate],
    [KEY, tls?.key],
    [CLIENT_CA, tls?.clientCa],
    [JWT_KEYS, identity?.jwt?.keys],
  ];
  const texts = new Map<string, string>();
  for (const [key, path] of paths) {
    if (path === undefined) continue;
    try {
      texts.set(key, Buffer.from(await disk.read(path)).toString('utf8'));
    } catch (error) {
      return refuse('STATUS_BAD_REQUEST', `${key}: ${reasonOf(error)}.`);
    }
  }
  return texts;
}

const [CERTIFICATE, KEY, CLIENT_CA, JWT_KEYS] = ['tls.certificate', 'tls.key', 'tls.clientCa', 'identity.jwt.keys'];

function understand(texts: Texts, { identity, tls }: Sources, clock: Clock): Loaded | Refusal {
  const text = (key: string): string => texts.get(key) ?? '';
  const clientCa = texts.get(CLIENT_CA);
  const files = tls
    ? { certificate: text(CERTIFICATE), key: text(KEY), ...(clientCa !== undefined && { clientCa }) }
    : undefined;
  const fault = files && faultOf(files);
  if (fault !== undefined) return refuse('STATUS_BAD_REQUEST', `tls: the files do not go together: ${fault}.`);
  const jwt = identity?.jwt;
  const verifyJwt = jwt && jwtVerifier(jwt, text(JWT_KEYS), clock);
  if (isRefusal(verifyJwt)) return verifyJwt;
  return { texts, identify: identity ? identifyBy(identity, verifyJwt) : believe, files };
}

const isSame = (one: Texts, other: Texts): boolean =>
  one.size === other.size && [...one].every(([key, text]) => other.get(key) === text);
