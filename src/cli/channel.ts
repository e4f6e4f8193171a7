/** `--token` and `--ca`: how a command shows who asks, and how it knows the broker. */
import { Option, type Command } from 'commander';
import { reasonOf } from '../client/error.js';
import type { ClientOptions } from '../client/client.js';
import { systemDisk } from '../disk.js';
import { UsageError } from './arguments.js';

export interface ChannelFlags {
  readonly token?: string;
  readonly ca?: string;
}

/** Adds both. */
export const withChannel = (command: Command): Command =>
  command
    .addOption(
      new Option('--token <TOKEN>', 'API key or JWT; in the environment others do not see it').env('GRIDCAST_TOKEN'),
    )
    .option('--ca <FILE>', 'PEM file of the authority that has signed the broker’s certificate');

/** What they mean for a client. */
export async function channelOf({ token, ca }: ChannelFlags): Promise<Pick<ClientOptions, 'token' | 'tls'>> {
  return { ...(token !== undefined && { token }), ...(ca !== undefined && { tls: { ca: await read(ca) } }) };
}

async function read(path: string): Promise<string> {
  try {
    return Buffer.from(await systemDisk.read(path)).toString('utf8');
  } catch (error) {
    throw new UsageError(`--ca: ${reasonOf(error)}.`);
  }
}
