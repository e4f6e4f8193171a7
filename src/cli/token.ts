/** `gridcast token key | hash`: API keys. The broker's configuration holds their hashes alone. */
import type { Command } from 'commander';
import { hashOf } from '../protocols/identity.js';
import { systemRandom } from '../random.js';
import { UsageError } from './arguments.js';
import { standardInput } from './request.js';
import type { Shell } from './shell.js';

const KEY_BYTES = 32;
/** What a Bearer field can carry [RFC6750-2.1], and 128 bits of it: the hash of less can be guessed. */
const KEY = /^[\w.~+/-]{22,}=*$/;

export function addToken(program: Command, shell: Shell): void {
  const token = program.command('token').description('make API keys, and the hashes by which the broker knows them');
  token
    .command('key')
    .description('make a random key; it is shown this once')
    .addHelpText('after', '\nThe key goes to the application, the hash to the configuration: identity.apiKeys.')
    .action(() => {
      const key = Buffer.from(systemRandom.bytes(KEY_BYTES)).toString('base64url');
      shell.print(`key: ${key}`);
      shell.print(`sha256: ${hashOf(key).toString('hex')}`);
    });
  token
    .command('hash')
    .description('print the hash of a key, read from standard input')
    .addHelpText('after', '\nExample:\n  gridcast token hash < key.txt')
    .action(async () => {
      const key = Buffer.from(await standardInput())
        .toString('utf8')
        .trim();
      if (!KEY.test(key))
        throw new UsageError('A key is 22 or more letters, digits and -._~+/, such as "gridcast token key" makes.');
      shell.print(hashOf(key).toString('hex'));
    });
}
