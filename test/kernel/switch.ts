/** A small machine as the actors' are: no invoke, no spawn, no after, and DISPOSE ends it from anywhere. */
import { assign, setup, type Dispose } from '../../src/kernel/lifecycle.js';

export type SwitchEvent = { readonly type: 'ON' | 'OFF' | 'TRIP' | 'BREAK' } | Dispose;

interface SwitchContext {
  readonly act: (action: string) => void;
  readonly count: number;
}

export const switchMachine = setup({
  types: { context: {} as SwitchContext, events: {} as SwitchEvent, input: {} as (action: string) => void },
  actions: {
    begin: ({ context }) => context.act('begin'),
    end: ({ context }) => context.act('end'),
    count: assign({ count: ({ context }) => context.count + 1 }),
    tell: ({ context }) => context.act('tell'),
    break: () => {
      throw new Error('broken');
    },
  },
}).createMachine({
  id: 'switch',
  context: ({ input }) => ({ act: input, count: 0 }),
  initial: 'off',
  entry: 'begin',
  on: { DISPOSE: '.disposed', BREAK: { actions: 'break' } },
  states: {
    off: { on: { ON: { target: 'on', actions: ['count', 'tell'] } } },
    on: { initial: 'idle', states: { idle: {} }, on: { OFF: 'off', TRIP: 'tripped' } },
    tripped: { type: 'final', entry: 'end' },
    disposed: { type: 'final', entry: 'end' },
  },
});
