/**
 * The message ids of one peer's non-confirmables, as long as each may come again. Nothing is ever answered to a duplicate of one,
 * so the id alone is kept: its place in a queue, and where there are many a bit in a page.
 *
 *     queue   (id, when it is forgotten), oldest first: all live equally long. Of 16, an observer's few requests, it is looked through
 *     pages   id >>> 8 ──> 256 bits, while one of them is set            ids of a publisher rise: they share few pages
 */

const PAGE_BITS = 256;
const WORD_BITS = 32;
/** Behind the bits of a page: how many of them are set. */
const COUNT = PAGE_BITS / WORD_BITS;
/** Their instants are the most that an array holds without memory of its own outside the heap. */
const FIRST_CAPACITY = 8;
const MOST_LOOKED_THROUGH = 16;
const NO_IDS = new Uint16Array(0);
const NO_EXPIRIES = new Float64Array(0);

export class HeardIds {
  private pages: Map<number, Uint32Array> | undefined;
  private ids = NO_IDS;
  private expiries = NO_EXPIRIES;
  private first = 0;
  private held = 0;

  get size(): number {
    return this.held;
  }

  has(id: number): boolean {
    if (this.pages) return ((this.pages.get(id >>> 8)?.[wordOf(id)] ?? 0) & bitOf(id)) !== 0;
    for (let n = 0; n < this.held; n++) if (this.ids[this.placeOf(n)] === id) return true;
    return false;
  }

  /** @param id one that is not there */
  add(id: number, expiresUs: number): void {
    if (this.held === this.ids.length) this.grow();
    const place = this.placeOf(this.held++);
    this.ids[place] = id;
    this.expiries[place] = expiresUs;
    if (this.pages) enter(this.pages, id);
  }

  expire(nowUs: number): void {
    while (this.held > 0 && (this.expiries[this.first] ?? 0) <= nowUs) this.forgetOldest();
  }

  forgetOldest(): void {
    const id = this.ids[this.first] ?? 0;
    this.first = this.placeOf(1);
    this.held--;
    const page = this.pages?.get(id >>> 8);
    if (!page) return;
    page[wordOf(id)]! &= ~bitOf(id); // a page has a bit for each low byte
    const left = (page[COUNT] ?? 0) - 1;
    page[COUNT] = left;
    if (left === 0) this.pages?.delete(id >>> 8);
  }

  /** Of the nth oldest. */
  private placeOf(n: number): number {
    return (this.first + n) & (this.ids.length - 1);
  }

  private grow(): void {
    const capacity = Math.max(FIRST_CAPACITY, 2 * this.ids.length);
    const [ids, expiries] = [new Uint16Array(capacity), new Float64Array(capacity)];
    if (capacity > MOST_LOOKED_THROUGH) this.pages ??= new Map();
    for (let n = 0; n < this.held; n++) {
      const place = this.placeOf(n);
      ids[n] = this.ids[place] ?? 0;
      expiries[n] = this.expiries[place] ?? 0;
    }
    // With the first pages come all that stand.
    if (this.pages?.size === 0) for (const id of ids.subarray(0, this.held)) enter(this.pages, id);
    this.ids = ids;
    this.expiries = expiries;
    this.first = 0;
  }
}

const wordOf = (id: number): number => (id & 0xff) >>> 5;
const bitOf = (id: number): number => 1 << (id & 31);

function enter(pages: Map<number, Uint32Array>, id: number): void {
  let page = pages.get(id >>> 8);
  if (!page) pages.set(id >>> 8, (page = new Uint32Array(COUNT + 1)));
  page[wordOf(id)]! |= bitOf(id); // a page has a bit for each low byte, and the count
  page[COUNT]!++; // as above
}
