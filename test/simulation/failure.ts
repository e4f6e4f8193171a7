import type { Outcome } from './simulation.js';

/** How a failure is told: with its seed, the invariant's sentence, the last lines of the trace and the command that repeats it. */
export const failureOf = ({ seed, failure, tail, kinds, figures }: Outcome): string => `
seed ${seed} FAILED: ${failure}
faults: ${kinds.join(', ')}; ${JSON.stringify(figures)}
${tail.map((line) => `  ${line}`).join('\n')}
repeat: npm run test:simulation -- --seed ${seed} --trace
`;
