import { Rooms } from '../../src/store/rooms.js';

test('what comes back is lent again, to whoever needs about as much', () => {
  const rooms = new Rooms();
  const room = rooms.take(3000);
  expect(room.length).toBeGreaterThanOrEqual(3000);
  rooms.give(room);
  expect(rooms.take(300)).not.toBe(room);
  expect(rooms.take(2100)).toBe(room);
  expect(rooms.take(2100)).not.toBe(room);
});

test('nothing is lent twice, and what is large or too much is not kept', () => {
  const rooms = new Rooms();
  const lent = Array.from({ length: 2000 }, () => rooms.take(8192));
  expect(new Set(lent).size).toBe(2000);
  for (const room of lent) rooms.give(room);
  const again = new Set(Array.from({ length: 2000 }, () => rooms.take(8192)));
  expect(lent.filter((room) => again.has(room))).toHaveLength(1024);
  const large = rooms.take(100_000);
  rooms.give(large);
  expect(rooms.take(100_000)).not.toBe(large);
});
