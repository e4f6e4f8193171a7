/** `gridcast sim`: what a broker needs around it when there is no grid at hand: PMUs, captures played again, a device, a fleet of gateways. */
import type { Command } from 'commander';
import { lockOfLedger } from '../client/ledger.js';
import { systemClock } from '../clock.js';
import { systemDisk } from '../disk.js';
import { isRefusal, type Refusal } from '../errors.js';
import { openLog } from '../log.js';
import { systemNetwork } from '../network.js';
import { systemRandom } from '../random.js';
import { startDevice } from '../sim/device.js';
import { DISTURBANCES } from '../sim/disturbance.js';
import { parsePmuServer, startPmuServer, type PmuServerFlags } from '../sim/pmu-server.js';
import { parseReplay, startReplay, type ReplayFlags } from '../sim/replay.js';
import type { Simulator } from '../sim/simulator.js';
import { gather, positive, uriOf, UsageError } from './arguments.js';
import { channelOf, withChannel, type ChannelFlags } from './channel.js';
import { addFleet } from './sim-fleet.js';
import type { Shell } from './shell.js';

export function addSim(program: Command, shell: Shell): void {
  const sim = program
    .command('sim')
    .description('simulate PMUs, play a capture again, or play a device or a fleet of gateways');

  sim
    .command('pmu')
    .description('a C37.118 source with simulated PMUs')
    .option('--listen <URI>', 'tcp:// or udp://HOST:PORT, where it waits for commands (default: tcp://127.0.0.1:4712)')
    .option('--to <URI>', 'udp://HOST:PORT, where it sends unasked instead')
    .option('--idcode <N>', 'IDCODE of the stream and of its first PMU (default: 1)')
    .option('--rate <R>', 'frames per second, or 1/N (default: 30)')
    .option('--pmus <N>', 'PMUs in the stream (default: 1)')
    .option('--nominal <HZ>', '50 or 60 (default: what goes with the rate)')
    .option(
      '--format <BITS>',
      'FORMAT word: 1 polar, 2 float phasors, 4 float analogs, 8 float frequency (default: 15)',
    )
    .option('--time-base <N>', 'TIME_BASE (default: 1000000)')
    .option('--disturb <NAME[:key=value,...]>', `repeatable: ${Object.keys(DISTURBANCES).join(', ')}`, gather)
    .option('--seed <N>', 'equal seeds give equal streams')
    .addHelpText(
      'after',
      '\nExamples:\n  gridcast sim pmu --listen tcp://127.0.0.1:4712 --idcode 1 --rate 30 --pmus 3\n  gridcast sim pmu --disturb ringdown:at=20,amplitude=0.05,every=60 --disturb loss:share=0.01',
    )
    .action(async (flags: PmuServerFlags) => {
      const options = accepted(parsePmuServer(flags));
      await run(shell, accepted(await startPmuServer(options, context())));
    });

  sim
    .command('replay')
    .description('devices out of a capture, at their own pace and dated now')
    .argument('<FILE>', 'a pcap file with C37.118 in it')
    .option(
      '--listen <URI>',
      'where a stream is served, tcp:// or udp://; repeatable, one for each --stream (default: udp://127.0.0.1:4713)',
      gather,
    )
    .option('--stream <IDCODE>', 'a stream of the capture; repeatable', gather)
    .option('--loop', 'begin again at the end')
    .addHelpText(
      'after',
      '\nExample:\n  gridcast sim replay C37.118_1PMU_UDP.pcap --listen udp://127.0.0.1:4713 --stream 60 --loop',
    )
    .action(async (file: string, flags: Omit<ReplayFlags, 'file'>) => {
      const options = accepted(parseReplay({ file, ...flags }));
      const replay = accepted(await startReplay(options, { ...context(), disk: systemDisk }));
      await run(shell, replay, replay.finished);
    });

  withChannel(sim.command('device'))
    .description('a device that takes commands for an application, and executes or rejects them')
    .argument('<URI>', 'of the application: ws://HOST:PORT/m2m/applications/ID', uriOf('ws', 'wss'))
    .option('--delay <S>', 'seconds from a command to its execution', positive)
    .option('--linger <S>', 'seconds from its execution to the answer', positive)
    .option('--reject <REASON>', 'reject every command, for this reason')
    .option('--points <NAME>', 'a point that it has; repeatable (default: every point)', gather)
    .option('--ledger <DIR>', 'where it remembers what it did: each command has its effect once, whenever it dies')
    .option('--effects <FILE>', 'a line for each command that it executes, synced')
    .addHelpText(
      'after',
      '\nExamples:\n  gridcast sim device ws://127.0.0.1:8080/m2m/applications/pmu-1 --delay 0.5\n  gridcast sim device ws://127.0.0.1:8080/m2m/applications/pmu-1 --points breaker-1 --ledger ledger --effects effects.txt',
    )
    .action((uri: string, flags: DeviceFlags) => playDevice(shell, uri, flags));

  addFleet(sim, shell, context);
}

const context = () => ({
  clock: systemClock,
  network: systemNetwork,
  random: systemRandom,
  log: openLog('info', process.stderr.isTTY),
});

function accepted<T>(result: T | Refusal): T {
  if (isRefusal(result))
    throw result.status === 'STATUS_BAD_REQUEST' ? new UsageError(result.detail) : new Error(result.detail);
  return result;
}

/** Until it is interrupted, or has come to its end. */
async function run(shell: Shell, simulator: Simulator<unknown>, finished = new Promise<void>(() => {})): Promise<void> {
  for (const address of simulator.addresses) shell.print(`listening ${address}`);
  await Promise.race([finished, interruption(shell)]);
  await simulator.close();
}

const interruption = ({ interrupted }: Shell): Promise<void> =>
  new Promise((resolve) => interrupted.addEventListener('abort', () => resolve(), { once: true }));

interface DeviceFlags extends ChannelFlags {
  readonly delay?: number;
  readonly linger?: number;
  readonly reject?: string;
  readonly points?: readonly string[];
  readonly ledger?: string;
  readonly effects?: string;
}

async function playDevice(shell: Shell, uri: string, flags: DeviceFlags): Promise<void> {
  const { delay = 0, linger = 0, ...rest } = flags;
  const options = { uri, delayMs: delay * 1000, lingerMs: linger * 1000, channel: await channelOf(flags), ...rest };
  const device = await startDevice(options, {
    clock: shell.clock,
    disk: systemDisk,
    lock: lockOfLedger,
    tell: (line) => shell.print(line),
  });
  shell.print(`attached ${uri}`);
  device.watch((news) => {
    if (news.state === 'connected') shell.print(`attached ${uri} again`);
    else if (news.reason.kind !== 'closed') shell.print(`${news.state}: ${news.reason.message}`);
  });
  await Promise.race([device.closed, interruption(shell)]);
  await device.close();
}
