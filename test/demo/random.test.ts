import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  dayOf,
  instant,
  isNthOfMonth,
  isoDate,
  isPayday,
  monthIndex,
  nextBusinessDay,
  weekdayOf,
} from '../../demo/calendar.ts';
import { createRandom } from '../../demo/random.ts';
import { money } from '../../demo/rows.ts';

test('numbers are those of this seed and path, today and on any machine', () => {
  const random = createRandom(1, 'life', 0, 20_000);
  assert.deepEqual(
    [random.int(0, 999_999), random.int(0, 999_999), random.uuid()],
    [420573, 330319, 'ce59f521-2768-4fb7-a334-bfcfc480a630'],
  );
  assert.notDeepEqual(createRandom(1, 'life', 0, 20_001).uuid(), createRandom(1, 'life', 0, 20_000).uuid());
  assert.notDeepEqual(createRandom(1, 'a', 1).uuid(), createRandom(11, 'a').uuid());
});

test('a hundred thousand ids are valid, distinct and spread evenly', () => {
  const random = createRandom(5, 'ids');
  const ids = Array.from({ length: 100_000 }, () => random.uuid());
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)));
  const first = Array.from(
    { length: 16 },
    (_, digit) => ids.filter((id) => Number.parseInt(id[0] ?? '', 16) === digit).length,
  );
  assert.ok(
    first.every((count) => count > 5800 && count < 6700),
    first.join(' '),
  );
});

test('uniform, long-tailed and rare numbers have the mean, median and bounds they promise', () => {
  const random = createRandom(6, 'shape');
  const many = <T>(draw: () => T): T[] => Array.from({ length: 50_000 }, draw);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  assert.ok(Math.abs(mean(many(() => random.next())) - 0.5) < 0.01);
  assert.ok(Math.abs(mean(many(() => random.poisson(0.4))) - 0.4) < 0.02);
  const tail = many(() => random.logNormal(40, 1)).sort((a, b) => a - b);
  assert.ok(Math.abs((tail[25_000] ?? 0) - 40) < 2);
  assert.ok((tail[49_500] ?? 0) > 300);
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: -1000, max: 1000 }), fc.nat(1000), (seed, low, width) => {
      const value = createRandom(seed, 'int').int(low, low + width);
      return Number.isInteger(value) && value >= low && value <= low + width;
    }),
  );
});

test('there is one payday a month, never on a weekend, and one n-th, short months too', () => {
  for (const n of [1, 15, 25, 28, 31]) {
    const perMonth = new Map<number, number>();
    const nths = new Map<number, number>();
    for (let day = dayOf('2024-01-05'); day < dayOf('2026-01-05'); day += 1) {
      if (isPayday(day, n)) {
        assert.ok(weekdayOf(day) < 5, isoDate(day));
        perMonth.set(monthIndex(day + 2), (perMonth.get(monthIndex(day + 2)) ?? 0) + 1);
      }
      if (isNthOfMonth(day, n)) nths.set(monthIndex(day), (nths.get(monthIndex(day)) ?? 0) + 1);
    }
    const total = [...perMonth.values()].reduce((sum, count) => sum + count, 0);
    assert.equal(total, 24, `payday ${n}`);
    assert.ok([...nths.values()].every((count) => count === 1));
  }
});

test('dates, instants and money are written as Postgres reads them', () => {
  assert.equal(weekdayOf(dayOf('2025-06-30')), 0);
  assert.equal(isoDate(nextBusinessDay(dayOf('2025-06-28'))), '2025-06-30');
  assert.equal(instant(dayOf('2024-02-29'), 3_723_000_042), '2024-02-29 01:02:03.000042+00');
  assert.deepEqual([0, 5, -5, 99, -100, 123_456].map(money), ['0.00', '0.05', '-0.05', '0.99', '-1.00', '1234.56']);
  fc.assert(
    fc.property(fc.date({ min: new Date('1970-01-01'), max: new Date('2100-01-01'), noInvalidDate: true }), (date) => {
      const text = date.toISOString().slice(0, 10);
      return isoDate(dayOf(text)) === text && weekdayOf(dayOf(text)) === (date.getUTCDay() + 6) % 7;
    }),
  );
});
