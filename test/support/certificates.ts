/** Certificates by the openssl command: authorities, and what they sign, as files. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './folder.js';

export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.warn('skipped what needs certificates: there is no openssl');

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

const openssl = (...words: readonly string[]): void => void execFileSync('openssl', words, { stdio: 'pipe' });
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'] as const;

/** A new authority. */
export class Authority {
  private readonly folder = temporaryFolder();
  readonly file = join(this.folder, 'ca.pem');
  private made = 0;

  constructor(name = 'test authority') {
    openssl(
      'req',
      '-x509',
      ...EC,
      '-keyout',
      this.path('ca.key'),
      '-out',
      this.file,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    );
  }

  get pem(): string {
    return readFileSync(this.file, 'utf8');
  }

  /** @param names its subjectAltName, as openssl has it */
  signs(subject: string, names = 'IP:127.0.0.1', days = 2): Certificate {
    const name = `${++this.made}`;
    const [key, request, extensions, certificate] = ['key', 'csr', 'ext', 'pem'].map((end) =>
      this.path(`${name}.${end}`),
    );
    // As many as there are ends.
    openssl('req', '-new', ...EC, '-keyout', key!, '-out', request!, '-subj', subject);
    writeFileSync(extensions!, `subjectAltName=${names}\n`);
    const signed = ['-CA', this.file, '-CAkey', this.path('ca.key'), '-CAcreateserial', '-days', String(days)];
    openssl('x509', '-req', '-in', request!, ...signed, '-extfile', extensions!, '-out', certificate!);
    return { certificate: certificate!, key: key! };
  }

  private path(name: string): string {
    return join(this.folder, name);
  }
}
