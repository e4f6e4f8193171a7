import { MemoryDisk } from '../support/memory-disk.js';
import { during, openStore, plain } from '../support/store.js';

describe('a store on a journal', () => {
  test('has after a crash every row that was put, in the order of the last put', async () => {
    const disk = new MemoryDisk();
    const { write } = await openStore(disk);
    await write({ changes: [{ table: 'resource', key: 'a', row: { document: { n: 1 } } }] });
    await write({
      changes: [
        { table: 'resource', key: 'b', row: { document: { n: 2 }, bytes: Buffer.from('content') } },
        { table: 'alarm', key: 'x', row: { document: {} } },
      ],
    });
    await write({
      changes: [
        { table: 'resource', key: 'a', row: { document: { n: 3 } } },
        { table: 'alarm', key: 'x', row: undefined },
      ],
    });
    const { rows, store, clock } = await openStore(disk.crash());
    expect(plain(rows)).toEqual({
      resource: [
        ['b', { document: { n: 2 }, bytes: Uint8Array.from(Buffer.from('content')) }],
        ['a', { document: { n: 3 } }],
      ],
      instance: [],
      command: [],
      alarm: [],
    });
    await during(clock, store.close());
  });
});
