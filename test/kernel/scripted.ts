/**
 * An actor whose every move a test scripts: a message is what its behaviour does. It keeps what became of each message, and
 * how often each life's belongings were disposed.
 */
import { Cell, type CellKind, type Fault } from '../../src/kernel/cell.js';

export interface Step {
  readonly name: string;
  readonly isConflatable?: boolean;
  readonly act?: (cell: Cell<Step>) => void;
}

export const step = (name: string, act?: (cell: Cell<Step>) => void): Step => ({ name, ...(act && { act }) });
export const sample = (name: string, act?: (cell: Cell<Step>) => void): Step => ({
  ...step(name, act),
  isConflatable: true,
});
export const crash = (name: string): Step =>
  step(name, () => {
    throw new Error(name);
  });

export class ScriptedKind implements CellKind<Step> {
  readonly received: string[] = [];
  readonly undeliveredMessages: [name: string, fault: Fault][] = [];
  readonly opened: string[] = [];
  readonly disposed: string[] = [];
  /** What the next starts do; none means that they succeed. */
  onStart: (cell: Cell<Step>) => void = () => {};

  start(cell: Cell<Step>): { receive(message: Step): void } {
    const name = `life ${cell.generation}`;
    this.opened.push(name);
    cell.own(() => void this.disposed.push(name));
    this.onStart(cell);
    return {
      receive: (message) => {
        message.act?.(cell);
        this.received.push(message.name);
      },
    };
  }

  undelivered({ name }: Step, fault: Fault): void {
    this.undeliveredMessages.push([name, fault]);
  }

  isConflatable({ isConflatable = false }: Step): boolean {
    return isConflatable;
  }
}

/** A promise that a test keeps. */
export function gate<Value = void>(): { readonly promise: Promise<Value>; readonly resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((kept) => (resolve = kept));
  return { promise, resolve };
}
