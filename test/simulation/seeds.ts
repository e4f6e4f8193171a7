/** Simulates one seed after the other for whoever forked it: a process for each core of the machine. */
import { simulate, type Outcome } from './simulation.js';

export interface SeedReport {
  readonly outcome: Outcome;
  readonly cpuUs: number;
}

process.on('message', ({ seed }: { readonly seed: number }) => {
  const before = process.cpuUsage();
  simulate(seed).then(
    (outcome) => {
      const { user, system } = process.cpuUsage(before);
      const report: SeedReport = { outcome, cpuUs: user + system };
      process.send?.(report);
    },
    (error: unknown) => {
      console.error(`seed ${seed}:`, error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
