/**
 * What of the security stands in files: certificates, and the keys that tokens are signed with. Read at the start, and again
 * when asked to.
 *
 *     files ──> read, and checked together ──> all good: in place from now on, nothing is dropped
 *                            └─ any bad: told, and all stays as it was
 */
import type { Clock } from './clock.js';
import type { Config } from './config.js';
import type { Disk } from './disk.js';
import { isRefusal, reasonOf, refuse, type Refusal } from './errors.js';
import { believe, identifyBy, type Identify } from './protocols/identity.js';
import { jwtVerifier } from './protocols/jwt.js';
import { Credentials, faultOf, type CredentialFiles } from './protocols/transport/tls.js';

type Sources = Pick<Config, 'identity' | 'tls'>;

interface Loaded {
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
    this.loaded = loaded;
    if (loaded.files) this.credentials?.renew(loaded.files);
    return undefined;
  }
}

async function load({ identity, tls }: Sources, disk: Disk, clock: Clock): Promise<Loaded | Refusal> {
  const read = async (key: string, path: string): Promise<string> => {
    try {
      return Buffer.from(await disk.read(path)).toString('utf8');
    } catch (error) {
      throw new Error(`${key}: ${reasonOf(error)}`, { cause: error });
    }
  };
  try {
    const files = tls && {
      certificate: await read('tls.certificate', tls.certificate),
      key: await read('tls.key', tls.key),
      ...(tls.clientCa !== undefined && { clientCa: await read('tls.clientCa', tls.clientCa) }),
    };
    const fault = files && faultOf(files);
    if (fault !== null && fault !== undefined)
      return refuse('STATUS_BAD_REQUEST', `tls: the files do not go together: ${fault}.`);
    const jwt = identity?.jwt;
    const verifyJwt = jwt && jwtVerifier(jwt, await read('identity.jwt.keys', jwt.keys), clock);
    if (isRefusal(verifyJwt)) return verifyJwt;
    return { identify: identity ? identifyBy(identity, verifyJwt) : believe, files: files ?? undefined };
  } catch (error) {
    return refuse('STATUS_BAD_REQUEST', `${reasonOf(error)}.`);
  }
}
