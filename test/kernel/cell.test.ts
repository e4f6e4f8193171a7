import { Cell, type CellOwner, type Fault } from '../../src/kernel/cell.js';
import { crash, gate, sample, ScriptedKind, step, type Step } from './scripted.js';

class Owner implements CellOwner<Step> {
  readonly undelivered: Record<Fault, number> = { crashed: 0, down: 0, full: 0 };
  readonly crashes: string[] = [];
  readonly reports: string[] = [];
  crashed(_: Cell<Step>, error: unknown): void {
    this.crashes.push((error as Error).message);
  }
  report(_: Cell<Step>, error: unknown): void {
    this.reports.push((error as Error).message);
  }
}

/** A cell that is up, unless told otherwise. */
function scripted(onStart?: (cell: Cell<Step>) => void): { cell: Cell<Step>; kind: ScriptedKind; owner: Owner } {
  const kind = new ScriptedKind();
  if (onStart) kind.onStart = onStart;
  const owner = new Owner();
  const cell = new Cell('a', kind, owner);
  cell.start();
  return { cell, kind, owner };
}
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 4; turn++) await Promise.resolve();
};

describe('Cell', () => {
  test('an idle cell handles a message on the stack of its sender', () => {
    const { cell, kind } = scripted();
    cell.tell(step('one'));
    expect(kind.received).toEqual(['one']);
  });

  test('a busy cell finishes its message before it takes the next', () => {
    const { cell, kind } = scripted();
    const outer = step('outer', (self) => {
      self.tell(step('inner'));
      expect(kind.received).toEqual([]);
    });
    cell.tell(outer);
    expect(kind.received).toEqual(['outer', 'inner']);
  });

  test('what waits is taken requests first, each kind in its order', () => {
    const { cell, kind } = scripted();
    cell.tell(
      step('busy', (self) => [sample('s1'), step('r1'), sample('s2'), step('r2')].forEach((next) => self.tell(next))),
    );
    expect(kind.received).toEqual(['busy', 'r1', 'r2', 's1', 's2']);
  });

  test('a busy cell keeps the newest 64 samples and refuses the 257th request', () => {
    const { cell, kind, owner } = scripted();
    cell.tell(
      step('busy', (self) => {
        for (let n = 1; n <= 70; n++) self.tell(sample(`s${n}`));
        for (let n = 1; n <= 257; n++) self.tell(step(`r${n}`));
      }),
    );
    const lost = [...Array(6).keys()].map((n) => [`s${n + 1}`, 'full']);
    expect(kind.undeliveredMessages).toEqual([...lost, ['r257', 'full']]);
    expect(kind.received).toHaveLength(1 + 64 + 256);
    expect(owner.undelivered).toEqual({ crashed: 0, down: 0, full: 7 });
  });

  test('the message that killed a behaviour is dropped and its sender told, once', () => {
    const { cell, kind, owner } = scripted();
    cell.tell(crash('poison'));
    expect(kind.undeliveredMessages).toEqual([['poison', 'crashed']]);
    expect(owner.crashes).toEqual(['poison']);
    expect(cell.state).toBe('restarting');
    cell.start();
    cell.tell(step('after'));
    expect(kind.received).toEqual(['after']);
    expect(kind.undeliveredMessages).toHaveLength(1);
  });

  test('a down cell answers at once, and keeps the newest samples while it restarts', () => {
    const { cell, kind } = scripted();
    cell.tell(crash('poison'));
    cell.tell(step('request'));
    for (let n = 1; n <= 65; n++) cell.tell(sample(`s${n}`));
    expect(kind.undeliveredMessages.slice(1)).toEqual([
      ['request', 'down'],
      ['s1', 'full'],
    ]);
    cell.start();
    expect(kind.received).toHaveLength(64);
    expect(kind.received.at(-1)).toBe('s65');
  });

  test('what waited when it crashed is handled by the next life, in order', () => {
    const { cell, kind } = scripted();
    cell.tell(
      step('busy', (self) => {
        self.tell(step('r1'));
        self.tell(sample('s1'));
        self.tell(crash('poison'));
        self.tell(step('r2'));
      }),
    );
    expect(kind.received).toEqual(['busy', 'r1']);
    expect(cell.waiting).toBe(2);
    cell.start();
    expect(kind.received).toEqual(['busy', 'r1', 'r2', 's1']);
  });

  test('what a life opened is disposed when it ends, last opened first, each once', () => {
    const order: number[] = [];
    const { cell, kind } = scripted((self) => [1, 2, 3].forEach((n) => self.own(() => void order.push(n))));
    cell.tell(crash('poison'));
    expect(order).toEqual([3, 2, 1]);
    cell.start();
    cell.stop();
    cell.stop();
    expect(order).toEqual([3, 2, 1, 3, 2, 1]);
    expect(kind.disposed).toEqual(kind.opened);
  });

  test('what is disposed early is not disposed again; a disposer that throws hinders no other', () => {
    const order: string[] = [];
    const { cell, owner } = scripted((self) => {
      self.own(() => void order.push('first'));
      self.own(() => {
        throw new Error('stuck');
      });
      const release = self.own(() => void order.push('early'));
      release();
      release();
    });
    cell.stop();
    expect(order).toEqual(['early', 'first']);
    expect(owner.reports).toEqual(['stuck']);
  });

  test('what is opened after the end is disposed at once', () => {
    const order: string[] = [];
    const { cell } = scripted();
    cell.tell(
      step('ends itself, then opens', (self) => {
        self.stop();
        self.own(() => void order.push('late'));
      }),
    );
    expect(order).toEqual(['late']);
  });

  test('a start that throws is a crash, and what it had opened is disposed', () => {
    const { cell, kind, owner } = scripted(() => {
      throw new Error('no start');
    });
    expect(owner.crashes).toEqual(['no start']);
    expect(kind.disposed).toEqual(['life 1']);
    expect(cell.state).toBe('restarting');
  });

  test('what it is told while it starts waits until it stands', () => {
    const { kind } = scripted((self) => self.tell(step('early')));
    expect(kind.received).toEqual(['early']);
  });

  test('a cell that stops itself and then throws is not restarted, but the throw is reported', () => {
    const { cell, owner, kind } = scripted();
    cell.tell(
      step('last', (self) => {
        self.stop();
        throw new Error('too late');
      }),
    );
    cell.start();
    expect(cell.state).toBe('stopped');
    expect(owner.crashes).toEqual([]);
    expect(owner.reports).toEqual(['too late']);
    expect(kind.undeliveredMessages).toEqual([['last', 'crashed']]);
  });

  test('a cell that is stopped by what it disposes is not restarted', () => {
    const { cell, owner } = scripted((self) => self.own(() => self.stop()));
    cell.tell(crash('poison'));
    expect(cell.state).toBe('stopped');
    expect(owner.crashes).toEqual([]);
    expect(owner.reports).toEqual(['poison']);
  });

  test('a quarantine answers what waited, and everything that comes', () => {
    const { cell, kind } = scripted();
    cell.tell(
      step('busy', (self) =>
        [step('r1'), crash('poison'), step('r2'), sample('s1')].forEach((next) => self.tell(next)),
      ),
    );
    cell.quarantine();
    cell.tell(sample('s2'));
    expect(kind.undeliveredMessages.slice(1)).toEqual([
      ['r2', 'down'],
      ['s1', 'down'],
      ['s2', 'down'],
    ]);
    cell.start();
    cell.tell(step('again'));
    expect(kind.received.at(-1)).toBe('again');
  });

  test('a sender that throws when told of its fault hurts nobody', () => {
    const { cell, kind, owner } = scripted();
    kind.undelivered = () => {
      throw new Error('deaf');
    };
    cell.tell(crash('poison'));
    expect(owner.reports).toEqual(['deaf']);
    expect(owner.crashes).toEqual(['poison']);
  });
});

describe('an answer that comes later', () => {
  const later = (name: string): Step => ({ name, act: (self) => void self.owe(sent.get(name) ?? step('?')) });
  const sent = new Map<string, Step>();
  const send = (cell: Cell<Step>, name: string): Step => {
    const message = later(name);
    sent.set(name, message);
    cell.tell(message);
    return message;
  };

  test('is given once', () => {
    const { cell, kind } = scripted();
    const message = send(cell, 'slow');
    expect([cell.settle(message), cell.settle(message)]).toEqual([true, false]);
    cell.stop();
    expect(kind.undeliveredMessages).toEqual([]);
  });

  test.each([
    ['crashed', (cell: Cell<Step>) => cell.tell(crash('poison'))],
    ['crashed', (cell: Cell<Step>) => cell.fail(new Error('its socket broke'))],
    ['down', (cell: Cell<Step>) => cell.stop()],
  ] as const)('is %s if the life ends first, and can then not be given', (fault, end) => {
    const { cell, kind } = scripted();
    const message = send(cell, 'slow');
    end(cell);
    expect(kind.undeliveredMessages.filter(([name]) => name === 'slow')).toEqual([['slow', fault]]);
    expect(cell.settle(message)).toBe(false);
  });

  test('is told once where the very message that is owed an answer throws', () => {
    const { cell, kind } = scripted();
    const message: Step = {
      name: 'slow poison',
      act: (self) => {
        self.owe(message);
        throw new Error('poison');
      },
    };
    cell.tell(message);
    expect(kind.undeliveredMessages).toEqual([['slow poison', 'crashed']]);
  });

  test.each([
    ['down', (cell: Cell<Step>) => cell.stop()],
    ['crashed', (cell: Cell<Step>) => cell.fail(new Error('its socket broke'))],
  ] as const)('is told once, %s, where the message ends its own life before it throws', (fault, end) => {
    const { cell, kind, owner } = scripted();
    const message: Step = {
      name: 'slow poison',
      act: (self) => {
        self.owe(message);
        end(self);
        throw new Error('poison');
      },
    };
    cell.tell(message);
    expect(kind.undeliveredMessages).toEqual([['slow poison', fault]]);
    expect(owner.undelivered[fault]).toBe(1);
    expect(owner.reports).toEqual(['poison']);
  });

  test('that was refused is not told again when the message then throws', () => {
    const { cell, kind } = scripted();
    for (let n = 1; n <= 256; n++) send(cell, `r${n}`);
    const message: Step = {
      name: 'one too many',
      act: (self) => {
        if (!self.owe(message)) throw new Error('unprepared');
      },
    };
    cell.tell(message);
    expect(kind.undeliveredMessages.filter(([name]) => name === 'one too many')).toEqual([['one too many', 'full']]);
  });

  test('is refused when 256 are owed', () => {
    const { cell, kind } = scripted();
    for (let n = 1; n <= 257; n++) send(cell, `r${n}`);
    expect(kind.undeliveredMessages).toEqual([['r257', 'full']]);
  });
});

describe('asynchronous work', () => {
  const pipe = (work: Promise<string>): Step =>
    step('begin', (self) =>
      self.pipe(
        work,
        (result) => step(result),
        (error) => step(`failed: ${(error as Error).message}`),
      ),
    );

  test('comes back as a message, also where it failed', async () => {
    const { cell, kind } = scripted();
    cell.tell(pipe(Promise.resolve('done')));
    cell.tell(pipe(Promise.reject(new Error('disk full'))));
    await settle();
    expect(kind.received).toEqual(['begin', 'begin', 'done', 'failed: disk full']);
  });

  test('of a life that has ended comes to nothing', async () => {
    const { cell, kind } = scripted();
    const { promise, resolve } = gate<string>();
    cell.tell(pipe(promise));
    cell.tell(crash('poison'));
    cell.start();
    resolve('stale');
    await settle();
    expect(kind.received).toEqual(['begin']);
    expect(kind.undeliveredMessages).toEqual([['poison', 'crashed']]);
  });

  test('of a cell that stopped comes to nothing', async () => {
    const { cell, kind } = scripted();
    cell.tell(pipe(Promise.resolve('stale')));
    cell.stop();
    await settle();
    expect(kind.received).toEqual(['begin']);
    expect(kind.undeliveredMessages).toEqual([]);
  });

  test('whose result can not be made a message is a crash of the cell, not of the process', async () => {
    const { cell, owner } = scripted();
    cell.tell(
      step('begin', (self) =>
        self.pipe(
          Promise.resolve(),
          () => {
            throw new Error('no message');
          },
          () => step('never'),
        ),
      ),
    );
    await settle();
    expect(owner.crashes).toEqual(['no message']);
  });
});
