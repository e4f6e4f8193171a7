import { checkConditions, etagOf, Revisions, type Conditions } from '../../src/resources/revision.js';

describe('a conditional request', () => {
  const FAILS_304 = 'STATUS_NOT_MODIFIED';
  const FAILS_412 = 'STATUS_PRECONDITION_FAILED';

  test.each<[string | undefined, Conditions, 'read' | 'write', string | undefined]>([
    ['7', {}, 'read', undefined],
    ['7', { ifMatch: ['7'] }, 'write', undefined],
    ['7', { ifMatch: ['6', '7'] }, 'write', undefined],
    ['7', { ifMatch: ['*'] }, 'write', undefined],
    ['7', { ifMatch: ['6'] }, 'write', FAILS_412],
    ['7', { ifMatch: ['6'] }, 'read', FAILS_412],
    ['7', { ifMatch: [] }, 'write', FAILS_412],
    [undefined, { ifMatch: ['*'] }, 'write', FAILS_412],
    ['7', { ifNoneMatch: ['7'] }, 'read', FAILS_304],
    ['7', { ifNoneMatch: ['*'] }, 'read', FAILS_304],
    ['7', { ifNoneMatch: ['6'] }, 'read', undefined],
    ['7', { ifNoneMatch: ['*'] }, 'write', FAILS_412],
    [undefined, { ifNoneMatch: ['*'] }, 'write', undefined],
    ['7', { ifMatch: ['6'], ifNoneMatch: ['7'] }, 'read', FAILS_412],
    ['7', { ifMatch: ['7'], ifNoneMatch: ['7'] }, 'read', FAILS_304],
  ])('at %s, %j, a %s: %s', (etag, conditions, access, status) => {
    expect(checkConditions({ etag }, conditions, access)?.status).toBe(status);
  });
});

describe('a condition on a date', () => {
  const SECOND_US = 1_000_000;
  const AT = { etag: '7', modifiedUs: 10.5 * SECOND_US };
  test.each<[Conditions, 'read' | 'write', string | undefined]>([
    [{ ifModifiedSinceUs: 9 * SECOND_US }, 'read', undefined],
    [{ ifModifiedSinceUs: 10 * SECOND_US }, 'read', 'STATUS_NOT_MODIFIED'],
    [{ ifModifiedSinceUs: 11 * SECOND_US }, 'read', 'STATUS_NOT_MODIFIED'],
    [{ ifModifiedSinceUs: 11 * SECOND_US }, 'write', undefined],
    [{ ifUnmodifiedSinceUs: 9 * SECOND_US }, 'write', 'STATUS_PRECONDITION_FAILED'],
    [{ ifUnmodifiedSinceUs: 9 * SECOND_US }, 'read', 'STATUS_PRECONDITION_FAILED'],
    [{ ifUnmodifiedSinceUs: 10 * SECOND_US }, 'write', undefined],
    // A tag of its kind goes before it.
    [{ ifModifiedSinceUs: 11 * SECOND_US, ifNoneMatch: ['6'] }, 'read', undefined],
    [{ ifUnmodifiedSinceUs: 9 * SECOND_US, ifMatch: ['7'] }, 'write', undefined],
  ])('%j, a %s: %s', (conditions, access, status) => {
    expect(checkConditions(AT, conditions, access)?.status).toBe(status);
  });

  test('where nothing was modified there is nothing to compare', () => {
    const dates = { ifModifiedSinceUs: 0, ifUnmodifiedSinceUs: 0 };
    expect(checkConditions({ etag: undefined }, dates, 'read')).toBeUndefined();
  });
});

test('an entity tag fits a CoAP option, however many changes there were', () => {
  for (const revision of [0, 1, 2 ** 40, 2 ** 53 - 1]) expect(etagOf(revision)).toMatch(/^[0-9a-z]{1,8}$/);
  const revisions = new Revisions(41);
  expect([revisions.next(), revisions.next()]).toEqual([42, 43]);
});
