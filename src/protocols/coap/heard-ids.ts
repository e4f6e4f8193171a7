/**
 * The message ids of one peer's non-confirmables, as long as each may come again. Nothing is ever answered to a duplicate of one,
 * so the id alone is kept: a bit in a page, and its place in a queue.
 *
 *     pages   id >>> 8 ──> 256 bits, while one of them is set            ids of a publisher rise: they share few pages
 *     queue   (id, when it is forgotten), oldest first: all live equally long
 */

const PAGE_BITS = 256;
const WORD_BITS = 32;
const FIRST_CAPACITY = 16;

export class HeardIds {
  private readonly pages: (Uint32Array | undefined)[] = [];
  private readonly inPage: number[] = [];
  private ids = new Uint16Array(0);
  private expiries = new Float64Array(0);
  private first = 0;
  private held = 0;

  get size(): number {
    return this.held;
  }

  has(id: number): boolean {
    const word = this.pages[id >>> 8]?.[(id & 0xff) >>> 5] ?? 0;
    return (word & (1 << (id & 31))) !== 0;
  }

  /** @param id one that is not there */
  add(id: number, expiresUs: number): void {
    const page = (this.pages[id >>> 8] ??= new Uint32Array(PAGE_BITS / WORD_BITS));
    page[(id & 0xff) >>> 5]! |= 1 << (id & 31); // a page has a bit for each low byte
    this.inPage[id >>> 8] = (this.inPage[id >>> 8] ?? 0) + 1;
    if (this.held === this.ids.length) this.grow();
    const place = (this.first + this.held++) & (this.ids.length - 1);
    this.ids[place] = id;
    this.expiries[place] = expiresUs;
  }

  expire(nowUs: number): void {
    while (this.held > 0 && (this.expiries[this.first] ?? 0) <= nowUs) this.forgetOldest();
  }

  forgetOldest(): void {
    const id = this.ids[this.first] ?? 0;
    const number = id >>> 8;
    this.first = (this.first + 1) & (this.ids.length - 1);
    this.held--;
    const left = (this.inPage[number] ?? 0) - 1;
    this.inPage[number] = left;
    const page = this.pages[number];
    if (left === 0) this.pages[number] = undefined;
    else if (page) page[(id & 0xff) >>> 5]! &= ~(1 << (id & 31)); // as above
  }

  private grow(): void {
    const capacity = Math.max(FIRST_CAPACITY, 2 * this.ids.length);
    const [ids, expiries] = [new Uint16Array(capacity), new Float64Array(capacity)];
    for (let n = 0; n < this.held; n++) {
      const place = (this.first + n) & (this.ids.length - 1);
      ids[n] = this.ids[place] ?? 0;
      expiries[n] = this.expiries[place] ?? 0;
    }
    this.ids = ids;
    this.expiries = expiries;
    this.first = 0;
  }
}
