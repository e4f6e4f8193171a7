import fc from 'fast-check';
import { History, InstanceRecord } from '../../src/resources/history.js';
import { instanceFields } from '../../src/resources/instance.js';
import { checkCursor, readInstanceQuery, type InstanceQuery } from '../../src/resources/instance-query.js';
import { Page } from '../../src/resources/page.js';
import { Revisions } from '../../src/resources/revision.js';
import type { Json } from '../../src/resources/values.js';
import { accepted, NOW_US, refused, SECOND_US } from './small-grid.js';

const read = (text: string): InstanceQuery | undefined => accepted(readInstanceQuery(new URLSearchParams(text)));
const query = (text: string): InstanceQuery => read(text) ?? fail(`${text} is no query`);
const fail = (why: string): never => {
  throw new Error(why);
};
const at = (second: number): string => new Date((NOW_US + second * SECOND_US) / 1000).toISOString();

interface Told {
  readonly createdS: number;
  readonly measuredS?: number;
  readonly bytes?: number;
  readonly type?: string;
  readonly creator?: string;
  readonly labels?: readonly string[];
}

class Shelf {
  readonly history = new History<{ readonly type: string }>(new Revisions(), {
    count: 40,
    bytes: Infinity,
    ageS: Infinity,
  });
  private named = 0;

  add({ createdS, measuredS = createdS, bytes = 1, type = 'text/plain', creator = 'm', labels = [] }: Told): string {
    const name = `i${this.named++}`;
    const attributes = new Map<string, Json>(labels.length > 0 ? [['searchStrings', { searchString: labels }]] : []);
    const [created, measured] = [NOW_US + createdS * SECOND_US, NOW_US + measuredS * SECOND_US];
    accepted(this.history.append(new InstanceRecord({ type }, measured, created, bytes, name, attributes, creator)));
    return name;
  }

  /** One page: ids, and the query of the next. */
  page(asked: InstanceQuery, bytes = Infinity): { ids: string[]; next: InstanceQuery | undefined } {
    const { history } = this;
    expect(checkCursor(asked.after, history.epoch)).toBeUndefined();
    const page = new Page<{ readonly type: string }>(asked, {
      bytes,
      fields: (record) => instanceFields(record, undefined),
      types: ({ value }) => [value.type],
    });
    for (const record of history.after(asked.after?.ordinal ?? 0)) if (!page.offer(record, record.sequence)) break;
    const next = page.next(history.epoch);
    const after = next === undefined ? undefined : query(`after=${next}`).after;
    return { ids: page.instances.map(({ id }) => String(id)), next: after && { ...asked, after } };
  }

  all(asked: InstanceQuery, bytes?: number): string[] {
    const ids: string[] = [];
    for (let rest: InstanceQuery | undefined = asked; rest;) {
      const page = this.page(rest, bytes);
      ids.push(...page.ids);
      rest = page.next;
    }
    return ids;
  }
}

test('no parameter, or only the terms of an observation, is no query', () => {
  expect(read('')).toBeUndefined();
  expect(read('rate=5&class=control&c.pmin=1')).toBeUndefined();
});

test.each([
  ['createdSince=yesterday', 'createdSince is "yesterday"; it must be a date and time with zone'],
  ['createdUntil=2026-11-23T08:15:00', 'createdUntil is "2026-11-23T08:15:00"; it must be a date and time with zone'],
  ['measuredSince=1', 'measuredSince is "1"; it must be a date and time'],
  ['measuredUntil=', 'measuredUntil is ""; it must be a date and time'],
  ['sizeFrom=-1', 'sizeFrom is "-1"; it must be a whole number of 0 or more'],
  ['sizeUntil=many', 'sizeUntil is "many"; it must be a whole number of 0 or more'],
  ['metaDataOnly=yes', 'metaDataOnly is "yes"; it must be true or false'],
  ['limit=0', 'limit is "0"; it must be a whole number from 1 to 1000'],
  ['limit=1001', 'limit is "1001"; it must be a whole number from 1 to 1000'],
  ['limit=1e2', 'limit is "1e2"; it must be a whole number'],
  ['after=first', 'after is "first"; it must be a cursor'],
  ['limit=1&limit=2', 'The parameter limit is there 2 times; once is right'],
  ['createdSice=1', 'The parameter "createdSice" is not known here; a query takes createdSince,'],
  ['createdSince=2026-11-23T08:15:00Z&createdAfter=2026-11-23T08:15:00Z', 'are two spellings of one parameter'],
])('%s is refused by name', (text, sentence) => {
  const refusal = refused(readInstanceQuery(new URLSearchParams(text)));
  expect(refusal.status).toBe('STATUS_BAD_REQUEST');
  expect(refusal.detail).toContain(sentence);
});

test('each criterion selects what it names, and all of them together', () => {
  const shelf = new Shelf();
  const [a, b, c, d] = [
    shelf.add({ createdS: 0, bytes: 10, creator: 'meter-1', labels: ['load', 'Visby'] }),
    shelf.add({ createdS: 1, bytes: 20, type: 'application/json', labels: ['load'] }),
    shelf.add({ createdS: 2, bytes: 30, measuredS: 0.5 }),
    shelf.add({ createdS: 3, bytes: 40, type: 'application/json', creator: 'meter-1', measuredS: 9 }),
  ] as const;
  const found = (text: string): string[] => shelf.all(query(text));
  // Strict at both ends, in either spelling.
  expect(found(`createdSince=${at(1)}`)).toEqual([c, d]);
  expect(found(`createdAfter=${at(0)}&createdBefore=${at(2)}`)).toEqual([b]);
  expect(found(`createdUntil=${at(1)}`)).toEqual([a]);
  // From since on, up to but not with until: spans that follow each other double nothing.
  expect(found(`measuredSince=${at(0.5)}`)).toEqual([b, c, d]);
  expect(found(`measuredSince=${at(0)}&measuredUntil=${at(1)}`)).toEqual([a, c]);
  expect(found(`measuredSince=${at(1)}&measuredUntil=${at(9)}`)).toEqual([b]);
  expect(found('sizeFrom=20&sizeUntil=30')).toEqual([b, c]);
  expect(found('contentType=Application/JSON')).toEqual([b, d]);
  expect(found('contentType=application/json&contentType=text/plain')).toEqual([a, b, c, d]);
  expect(found('creator=meter-1')).toEqual([a, d]);
  expect(found('searchString=load')).toEqual([a, b]);
  expect(found('searchString=load&searchString=Visby')).toEqual([a]);
  expect(found(`creator=meter-1&contentType=application/json&sizeFrom=1`)).toEqual([d]);
});

test('the last page has no next, even where more instances follow that are not meant', () => {
  const shelf = new Shelf();
  const meant = [0, 1].map((createdS) => shelf.add({ createdS, creator: 'me' }));
  shelf.add({ createdS: 2, creator: 'you' });
  expect(shelf.page(query('creator=me&limit=2'))).toEqual({ ids: meant, next: undefined });
  expect(shelf.page(query('creator=me&limit=1')).next).toBeDefined();
  expect(shelf.page(query('creator=nobody'))).toEqual({ ids: [], next: undefined });
});

test('a page holds to its bytes, and has at least one instance', () => {
  const shelf = new Shelf();
  const ids = [0, 1, 2, 3].map((createdS) => shelf.add({ createdS }));
  expect(shelf.page(query('limit=1000'), 1).ids).toEqual(ids.slice(0, 1));
  expect(shelf.all(query('limit=1000'), 1)).toEqual(ids);
});

test('a cursor of another life of the container is refused', () => {
  const refusal = refused(checkCursor({ epoch: 4, ordinal: 1 }, 5));
  expect(refusal.detail).toContain('after is a cursor of what is gone');
});

test('whatever comes and goes between the pages, what was there all the time is read once, in order', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 7 }),
      fc.array(fc.record({ adds: fc.nat(9), deletes: fc.array(fc.nat(40), { maxLength: 4 }) }), { maxLength: 12 }),
      (limit, turns) => {
        const shelf = new Shelf();
        let createdS = 0;
        const add = (many: number): void => {
          for (let n = 0; n < many; n++) shelf.add({ createdS: createdS++ });
        };
        add(30);
        const there = new Set(shelf.history.newest().map(({ id }) => id));
        const seen: string[] = [];
        let rest: InstanceQuery | undefined = query(`limit=${limit}`);
        for (const { adds, deletes } of [...turns, { adds: 0, deletes: [] }]) {
          if (!rest) break;
          const page = shelf.page(rest);
          seen.push(...page.ids);
          rest = page.next;
          add(adds);
          const records = shelf.history.newest();
          for (const place of deletes) {
            const record = records[place];
            if (record) shelf.history.delete(record, NOW_US);
          }
          const left = new Set(shelf.history.newest().map(({ id }) => id));
          for (const id of [...there]) if (!left.has(id)) there.delete(id);
        }
        if (rest) seen.push(...shelf.all(rest));
        expect(seen).toEqual([...new Set(seen)]);
        expect(seen.map((id) => Number(id.slice(1)))).toEqual(
          seen.map((id) => Number(id.slice(1))).sort((x, y) => x - y),
        );
        expect(seen).toEqual(expect.arrayContaining([...there]));
      },
    ),
  );
});
